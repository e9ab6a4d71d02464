import { expect, it } from "vitest";

import { changeOf } from "./change";

it("says slower, faster, as before and new", () => {
  expect(changeOf(2.5)).toEqual({ way: "slower", times: 2.5 });
  expect(changeOf(0.25)).toEqual({ way: "faster", times: 4 });
  expect(changeOf(1.05)).toEqual({ way: "same", times: 1 });
  expect(changeOf(0.95)).toEqual({ way: "same", times: 1 });
  expect(changeOf(null)).toBeNull();
});
