import { useEffect, useState } from "react";

/** The time, as long as something goes on: often enough for a bar to be seen growing. */
export function useNow(going: boolean, everyMs: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    setNow(Date.now());
    if (!going) return;
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [going, everyMs]);
  return now;
}
