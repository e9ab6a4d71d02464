import { expect, test } from "vitest";

import { NEW, askedOf, draftOf, ruleOf } from "./draft";

test("a rule comes back as it was from its draft", () => {
  const draft = { ...NEW, name: "payments", notify: ["ops"], task: "shop.*, bank.*", data: "error.type: Time*\nrows: 10\nurl: http://x:1" };
  const rule = ruleOf(draft);
  expect(rule.when.name).toEqual(["shop.*", "bank.*"]);
  expect(rule.when.data).toEqual({ "error.type": "Time*", rows: 10, url: "http://x:1" });
  expect(rule.severity).toBeNull();
  expect(ruleOf(draftOf(rule))).toEqual(rule);
});

test("what it asks for is told in a few words", () => {
  expect(askedOf(ruleOf({ ...NEW, task: "shop.*", data: "rows: 10" }))).toEqual(["task.failed", "shop.*", "rows 10"]);
});
