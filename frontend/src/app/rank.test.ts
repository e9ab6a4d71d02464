import { expect, it } from "vitest";

import { rankOf } from "./rank";

it("finds by beginnings of words, best by the title's own", () => {
  expect(rankOf("pau", "Pause the queue mail")).toBe(0);
  expect(rankOf("mail pau", "Pause the queue mail")).toBe(1);
  expect(rankOf("eue", "Pause the queue mail")).toBe(2);
  expect(rankOf("dark", "Тёмная тема", "dark")).toBe(1);
  expect(rankOf("resume mail", "Pause the queue mail")).toBeNull();
});
