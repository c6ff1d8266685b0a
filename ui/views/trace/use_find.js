// Search inside a trace: the worker looks, the page keeps which rows match.

import { useEffect, useMemo, useState } from "../../components/html.js";
import { change } from "../../location.js";

const PAUSE_MILLIS = 120;
const NOTHING = new Int32Array(0);

export function useFind(client, trace, initial) {
  const [text, setText] = useState(initial);
  const [rows, setRows] = useState(NOTHING);
  useEffect(() => {
    const wanted = text.trim();
    if (wanted === "") {
      setRows(NOTHING);
      change({ find: undefined }, { replacing: true });
      return undefined;
    }
    let isCurrent = true;
    const look = () => client.ask("find", { text: wanted }).then((found) => {
      if (!isCurrent) return;
      setRows(found);
      change({ find: wanted }, { replacing: true });
    }, () => {});
    const timer = setTimeout(look, PAUSE_MILLIS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [client, text]);
  const mask = useMemo(() => (text.trim() === "" ? undefined : maskOf(rows, trace.count)), [rows, trace, text.trim() === ""]);
  return { text, setText, rows, mask, placeOf: (row) => rows.indexOf(row), step: (row, step) => stepFrom(rows, row, step) };
}

function maskOf(rows, count) {
  const mask = new Uint8Array(count);
  for (const row of rows) mask[row] = 1;
  return mask;
}

// The next match behind a row, or before it, going round at the ends.
function stepFrom(rows, row, step) {
  if (step > 0) return rows.find((match) => match > row) ?? rows[0];
  return rows.findLast((match) => match < row) ?? rows[rows.length - 1];
}
