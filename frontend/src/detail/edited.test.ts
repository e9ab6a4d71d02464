import { expect, it } from "vitest";

import { readJson } from "./edited";

it("takes JSON of the wanted form", () => {
  expect(readJson('[1, "two"]', "array")).toEqual({ value: [1, "two"], fault: null });
  expect(readJson("{}", "object")).toEqual({ value: {}, fault: null });
});

it("says where JSON ends to be JSON", () => {
  expect(readJson('{\n  "a": 1,\n  b\n}', "object").fault).toEqual({ kind: "syntax", at: { line: 3, column: 3 } });
  expect(readJson("[1,", "array").fault).toEqual({ kind: "syntax", at: { line: 1, column: 4 } });
});

it("wants a list for a list, and an object for an object", () => {
  expect(readJson("{}", "array").fault).toEqual({ kind: "array" });
  expect(readJson("[]", "object").fault).toEqual({ kind: "object" });
  expect(readJson("null", "object").fault).toEqual({ kind: "object" });
});
