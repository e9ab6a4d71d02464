import { msg } from "@lingui/core/macro";
import { expect, it } from "vitest";

import type { PageEntry } from "./pages";
import { findPage, maySee } from "./pages";
import { pathBelow, searchOf } from "./place";

const entry = (path: string, who: PageEntry["who"] = "all"): PageEntry => ({
  path,
  who,
  title: msg`Tasks`,
  icon: "tasks",
  key: "t",
  component: null,
});

it("finds the path below any prefix", () => {
  expect(pathBelow("/", "/errors/")).toBe("errors");
  expect(pathBelow("/house/orakul/", "/house/orakul/exports/7")).toBe("exports/7");
  expect(pathBelow("/orakul/", "/orakul/index.html")).toBe("");
  expect(pathBelow("/orakul/", "/orakul")).toBe("");
});

it("takes the page that fits longest, and gives it the rest", () => {
  const pages = [entry(""), entry("exports"), entry("exports/plans")];
  expect(findPage("exports/7/x", pages)).toMatchObject({ entry: { path: "exports" }, rest: "7/x" });
  expect(findPage("exports/plans/7", pages)).toMatchObject({ entry: { path: "exports/plans" }, rest: "7" });
  expect(findPage("exportsy", pages)).toBeNull();
  expect(findPage("", pages)?.rest).toBe("");
});

it("shows nobody what the server would refuse", () => {
  const me = (role: "admin" | "viewer" | "user") => ({ role, user_id: "1", username: "ann" });
  expect(maySee(entry("a", "admin"), me("viewer"))).toBe(false);
  expect(maySee(entry("a", "staff"), me("viewer"))).toBe(true);
  expect(maySee(entry("a", "staff"), me("user"))).toBe(false);
  expect(maySee(entry("a"), me("user"))).toBe(true);
});

it("writes addresses that can be read", () => {
  expect(searchOf({ status: ["failed", "cancelled"], since: "2026-01-01T00:00:00Z", name: "", queue: null })).toBe(
    "?status=failed,cancelled&since=2026-01-01T00:00:00Z",
  );
});
