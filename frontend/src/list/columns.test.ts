import { expect, it } from "vitest";

import { columnsFor, moved, nextSort, readColumns, USUAL } from "./columns";

it("sorts words upwards first and times downwards, then the other way", () => {
  expect(nextSort("-created_at", "name")).toBe("name");
  expect(nextSort("name", "name")).toBe("-name");
  expect(nextSort("name", "created_at")).toBe("-created_at");
  expect(nextSort("-created_at", "created_at")).toBe("created_at");
});

it("shows of the usual columns what has room, and of chosen ones all, in their order", () => {
  expect(columnsFor(1400, null).map(({ id }) => id)).toEqual(USUAL);
  expect(columnsFor(900, null).map(({ id }) => id)).not.toContain("queue");
  expect(columnsFor(300, ["worker", "name"]).map(({ id }) => id)).toEqual(["worker", "name"]);
});

it("reads back what it knows of chosen columns", () => {
  expect(readColumns(["name", "colour", "name", 3, "error"])).toEqual(["name", "error"]);
  expect(readColumns(["colour"])).toBeNull();
});

it("moves a column by a step, and at the ends not at all", () => {
  expect(moved(["name", "status", "kind"], "status", -1)).toEqual(["status", "name", "kind"]);
  expect(moved(["name", "status", "kind"], "status", 1)).toEqual(["name", "kind", "status"]);
  expect(moved(["name", "status"], "status", 1)).toEqual(["name", "status"]);
});
