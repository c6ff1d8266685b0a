// The state of completion: whether it is open, what it offers, which choice is marked.

import { useEffect, useMemo, useRef, useState } from "../../components/html.js";
import { apply, choices, contextAt } from "../../model/completion.js";
import { tagNames, tagValues } from "../../api/tags.js";

export function useCompletion(text, caret, range) {
  const [isWanted, setWanted] = useState(false);
  const [chosen, setChosen] = useState(0);
  const [isMoved, setMoved] = useState(false);
  const anchor = useRef(null);
  const context = useMemo(() => contextAt(text, caret ?? text.length), [text, caret]);
  const known = useKnown(isWanted ? context : undefined, text, range);
  const offered = useMemo(() => (isWanted ? choices(context, text.slice(context.from, context.to), known) : []), [isWanted, context, text, known]);
  const isOpen = isWanted && caret !== undefined && offered.length > 0;
  const mark = (place, moved) => {
    setChosen(place);
    setMoved(moved);
  };
  useEffect(() => mark(0, false), [context.from, context.kind, text]);

  const keyDown = (event, choose) => {
    if (event.key === " " && event.ctrlKey) setWanted(true);
    if (!isOpen) return;
    const place = Math.min(chosen, offered.length - 1);
    const actions = {
      ArrowDown: () => mark((place + 1) % offered.length, true),
      ArrowUp: () => mark((place + offered.length - 1) % offered.length, true),
      Tab: () => choose(offered[place]),
      Enter: () => choose(offered[place]),
      Escape: () => setWanted(false),
    };
    if (actions[event.key] === undefined || event.shiftKey) return;
    event.preventDefault();
    actions[event.key]();
  };
  return {
    isOpen, offered, chosen, isMoved, anchor, keyDown,
    from: context.from,
    open: () => setWanted(true),
    close: () => setWanted(false),
    apply: (choice) => apply(text, context, choice),
  };
}

// What the server knows for the context. Values are asked for with the rest of the query, so that only those are offered
// that can still be found.
function useKnown(context, text, range) {
  const [known, setKnown] = useState({});
  const key = context === undefined ? "" : `${context.kind} ${context.attribute ?? ""} ${context.from}`;
  useEffect(() => {
    if (context === undefined || !["attribute", "value"].includes(context.kind)) return undefined;
    let isCurrent = true;
    const rest = text.slice(0, context.from) + text.slice(context.to);
    const load = context.kind === "attribute" ? tagNames(range).then((scopes) => ({ scopes })) : tagValues(context.attribute, rest, range).then((values) => ({ values }));
    // Without an answer there is nothing to offer, and the query can still be typed.
    load.then((found) => isCurrent && setKnown(found), () => isCurrent && setKnown({}));
    return () => {
      isCurrent = false;
    };
  }, [key]);
  return known;
}
