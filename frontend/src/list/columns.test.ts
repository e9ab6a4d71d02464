import { expect, it } from "vitest";

import { nextSort } from "#/list/columns";

it("sorts words upwards first and times downwards, then the other way", () => {
  expect(nextSort("-created_at", "name")).toBe("name");
  expect(nextSort("name", "name")).toBe("-name");
  expect(nextSort("name", "created_at")).toBe("-created_at");
  expect(nextSort("-created_at", "created_at")).toBe("created_at");
});
