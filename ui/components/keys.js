// Keys that work anywhere but in fields. "g s" is two keys one after the other.

import { useEffect, useRef } from "./html.js";

const SEQUENCE_MILLIS = 900;

// Enter on a link or a button is its own.
const isOwn = (event) => event.key === "Enter" && event.target?.closest?.("a, button, summary, [role=button]") != null;

const isField = (element) => element?.closest?.("input, textarea, select, [contenteditable]") != null;

export function useKeys(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    let before = { key: "", at: 0 };
    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isField(event.target) || isOwn(event)) return;
      const sequence = event.timeStamp - before.at < SEQUENCE_MILLIS ? `${before.key} ${event.key}` : "";
      const action = latest.current[sequence] ?? latest.current[event.key];
      before = { key: event.key, at: event.timeStamp };
      if (action === undefined) return;
      event.preventDefault();
      action(event);
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, []);
}
