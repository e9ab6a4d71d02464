import { expect, it } from "vitest";

import { sparkPath } from "./sparks";

it("draws a bar for each count but none", () => {
  expect(sparkPath([1, 0, 2], 30, 10)).toBe("M0.0 10v-5.0h9.0v5.0ZM20.0 10v-10.0h9.0v10.0Z");
  expect(sparkPath([0, 0], 30, 10)).toBe("");
  expect(sparkPath([], 30, 10)).toBe("");
});

it("lets one among many be seen", () => {
  expect(sparkPath([1, 1000], 30, 10)).toContain("v-2.0");
});
