import { useSyncExternalStore } from "react";

import { columnStore } from "./columns";
import type { ColumnId } from "./columns";

/** The columns that the user chose; null: the usual ones. */
export const useChosenColumns = (): readonly ColumnId[] | null =>
  useSyncExternalStore(columnStore.subscribe, columnStore.snapshot);
