// Asks the server, while somebody types, whether it understands the query: a search over one second of 1970, which reads
// nothing but the text.

import { useEffect, useState } from "../../components/html.js";
import { isAbort, search } from "../../api/client.js";
import { locate } from "../../model/query_error.js";

const PAUSE_MILLIS = 350;

export function useQueryCheck(text) {
  const [problem, setProblem] = useState(undefined);
  useEffect(() => {
    setProblem(undefined);
    if (text.trim() === "") return undefined;
    const controller = new AbortController();
    const check = async () => {
      try {
        await search(text, { start: 1, end: 2 }, 1, 1, { signal: controller.signal });
      } catch (error) {
        if (!isAbort(error) && error.status === 400) setProblem(problemOf(error, text));
      }
    };
    const timer = setTimeout(check, PAUSE_MILLIS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text]);
  return problem;
}

function problemOf(error, text) {
  return locate(error.message, text) ?? { from: undefined, to: undefined, message: error.message.replace(/^invalid TraceQL query: /, "") };
}
