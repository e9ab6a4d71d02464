import { describe, expect, it } from "vitest";

import { formatDuration, formatPercent, formatTicking, formatWhole, visible } from "./format";

const units = { ms: "ms", s: "s", min: "min", h: "h", d: "d" };
const ru = { ms: "мс", s: "с", min: "мин", h: "ч", d: "дн" };

describe("durations", () => {
  it.each([
    [0, "0 ms"],
    [340, "340 ms"],
    [999.4, "999 ms"],
    [999.6, "1.0 s"],
    [1200, "1.2 s"],
    [34_500, "34.5 s"],
    [59_949, "59.9 s"],
    [59_999, "1 min 00 s"],
    [185_000, "3 min 05 s"],
    [7_440_000, "2 h 04 min"],
    [284_400_000, "3 d 07 h"],
    [-5, "–"],
    [Number.NaN, "–"],
  ])("%d ms reads %s", (ms, text) => expect(formatDuration("en", units, ms)).toBe(text));

  it("follow the language", () => expect(formatDuration("ru", ru, 1200)).toBe("1,2 с"));
  it("grow in whole seconds", () => {
    expect(formatTicking("en", units, 1999)).toBe("1 s");
    expect(formatTicking("en", units, -50)).toBe("0 s");
    expect(formatTicking("en", units, 61_000)).toBe("1 min 01 s");
  });
  it.each([
    [1000, "1 s"],
    [60_000, "1 min"],
    [300_000, "5 min"],
    [3_600_000, "1 h"],
    [86_400_000, "1 d"],
    [90_500, "1 min 31 s"],
  ])("are whole in their unit: %d", (ms, text) => expect(formatWhole("en", units, ms)).toBe(text));
});

it("writes shares as per cent", () => expect(formatPercent("en", 0.0512)).toBe("5.1%"));

it("shows characters that would hide or turn the text", () => {
  expect(visible("a\u202eb\u0000c\u001b[31m\u007f")).toBe("a␦b␀c␛[31m␡");
  expect(visible("ясно\n\tтак")).toBe("ясно\n\tтак");
});
