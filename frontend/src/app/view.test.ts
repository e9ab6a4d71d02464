import { expect, it } from "vitest";

import { formatView, parseView } from "./view";

it("reads back what it writes", () => {
  const search = "?status=pending,failed&name=shop.*&user=7&kind=celery&queue=mail&search=ab&sort=-name&task=x%2Fy%3F%26";
  expect(formatView(parseView(search))).toBe(search);
  expect(parseView(search).task).toBe("x/y?&");
});

it("writes nothing of what is as always", () => {
  expect(formatView(parseView(""))).toBe("");
  expect(formatView(parseView("?sort=-created_at"))).toBe("");
});

it("leaves out what it does not know", () => {
  expect(parseView("?status=done,failed,failed&sort=colour")).toMatchObject({ status: ["failed"], sort: "-created_at" });
});
