import { expect, it } from "vitest";

import { Selection } from "./selection";

const page = ["a", "b", "c", "d", "e"];
const chosen = (selection: Selection): string => [...selection.snapshot().ids].sort().join("");

it("selects one, takes it out, and a range from the one touched last, up or down", () => {
  const selection = new Selection();
  selection.toggle("d", page);
  selection.extend("b", page);
  expect(chosen(selection)).toBe("bcd");
  selection.extend("e", page);
  expect(chosen(selection)).toBe("bcde");
  selection.toggle("c", page);
  expect(chosen(selection)).toBe("bde");
  selection.clear();
  expect(selection.isEmpty()).toBe(true);
});

it("has every task where all that fit are selected, and falls back to the page when one is taken out", () => {
  const selection = new Selection();
  selection.only(page);
  selection.everything();
  expect(selection.has("elsewhere")).toBe(true);
  selection.toggle("b", page);
  expect(selection.snapshot().all).toBe(false);
  expect(chosen(selection)).toBe("acde");
});

it("starts a range with the task itself where the one touched last has gone", () => {
  const selection = new Selection();
  selection.toggle("gone", page);
  selection.extend("c", page);
  expect(selection.has("c")).toBe(true);
  expect(selection.has("b")).toBe(false);
});
