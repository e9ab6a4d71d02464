import { expect, it } from "vitest";

import { ageOf, inOrder } from "./ages";

it("tells an age, never a negative one", () => {
  const now = Date.parse("2026-01-01T00:01:00Z");
  expect(ageOf("2026-01-01T00:00:00Z", now)).toBe(60_000);
  expect(ageOf("2026-01-01T00:02:00Z", now)).toBe(0);
  expect(ageOf(null, now)).toBeNull();
  expect(ageOf("never", now)).toBeNull();
});

it("puts lost workers first and those that are off last", () => {
  const workers = [
    { worker: "b", status: "offline", lost: false },
    { worker: "c", status: "online", lost: false },
    { worker: "a", status: "online", lost: false },
    { worker: "d", status: "online", lost: true },
  ];
  expect(inOrder(workers).map((one) => one.worker)).toEqual(["d", "a", "c", "b"]);
});
