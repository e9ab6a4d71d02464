import { useEffect, useRef, useState } from "react";

const TYPING_MS = 250;

/** A field whose text is taken a moment after the last key. */
export function useTyped(value: string, take: (text: string) => void): [string, (text: string) => void] {
  const [text, setText] = useState(value);
  const [seen, setSeen] = useState(value);
  const latest = useRef(take);
  useEffect(() => {
    latest.current = take;
  });
  if (seen !== value) {
    setSeen(value);
    setText(value); // it was changed elsewhere: by "back", or "clear"
  }
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => latest.current(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, value]);
  return [text, setText];
}
