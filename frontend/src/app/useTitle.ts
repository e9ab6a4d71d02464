import { useEffect } from "react";

const LONGEST = 80;

/** Name the tab after what is shown: tabs are told apart by their first words. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title.length > LONGEST ? `${title.slice(0, LONGEST)}…` : title} · Orakul`;
  }, [title]);
}
