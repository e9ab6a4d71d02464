import { describe, expect, it } from "vitest";

import { formatBytes, headwayOf } from "./progress";

describe("headwayOf", () => {
  it("reads what an export says, whatever else is in it", () => {
    expect(headwayOf({ rows: 5, bytes: 10, share: 0.25, done: 1, total: 4, note: "x" })).toEqual({ rows: 5, bytes: 10, share: 0.25, done: 1, total: 4 });
  });
  it("knows no share where none is said, and none above the whole", () => {
    expect(headwayOf({ rows: 5 })?.share).toBeNull();
    expect(headwayOf({ share: 1.7 })?.share).toBe(1);
    expect(headwayOf(null)).toBeNull();
  });
});

describe("formatBytes", () => {
  it("writes sizes with the unit that fits", () => {
    expect(formatBytes("en", 4_476_596)).toBe("4.5 MB");
    expect(formatBytes("ru", 4_476_596)).toBe("4,5 МБ");
    expect(formatBytes("en", 999_999)).toBe("1 MB");
    expect(formatBytes("en", 0)).toContain("0");
  });
});
