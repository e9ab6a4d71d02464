import { expect, it } from "vitest";

import { formatView, momentOf, parseView, queryOf } from "./view";

it("reads back what it writes", () => {
  const search = "?status=pending,failed&name=shop.*&user=7&kind=celery&queue=mail&worker=w1&since=24h&until=2026-03-01T12:00:00.000Z&error=e1&search=ab&text=no+such&sort=-name&task=x%2Fy%3F%26";
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

it("counts a distance in time back from now", () => {
  const now = Date.parse("2026-03-01T12:00:00.500Z");
  expect(momentOf("15m", now)).toBe("2026-03-01T11:45:00.000Z");
  expect(momentOf("7d", now)).toBe("2026-02-22T12:00:00.000Z");
  expect(momentOf("", now)).toBe("");
  expect(queryOf(parseView("?since=1h&until=2026-03-01T12:00"), now).since).toBe("2026-03-01T11:00:00.000Z");
});

it("takes no time that is none", () => {
  expect(parseView("?since=yesterday&until=5x")).toMatchObject({ since: "", until: "" });
});
