// The query as text: coloured, with completion, and with the server's errors at their place.
//
// A text area lies over a painted copy of its text. Both wrap alike, so the copy also tells where a character is on screen.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../components/html.js";
import { useKeys } from "../../components/keys.js";
import { tokenize } from "../../model/traceql_tokens.js";
import { useCompletion } from "./use_completion.js";
import { useQueryCheck } from "./use_query_check.js";
import { CompletionList } from "./completion_list.js";

const EXAMPLE = '{ resource.service.name = "cart" && status = error }';

export function QueryEditor({ text, range, onChange, onRun }) {
  const area = useRef(null);
  const [caret, setCaret] = useState(undefined);
  const completion = useCompletion(text, caret, range);
  const problem = useQueryCheck(text);
  const wantedCaret = useRef(undefined);
  useKeys({ "/": () => area.current.focus() });
  useLayoutEffect(() => {
    if (wantedCaret.current === undefined) return;
    area.current.setSelectionRange(wantedCaret.current, wantedCaret.current);
    wantedCaret.current = undefined;
  }, [text]);

  const moved = () => setCaret(area.current.selectionStart === area.current.selectionEnd ? area.current.selectionStart : undefined);
  const choose = (choice) => {
    const applied = completion.apply(choice);
    wantedCaret.current = applied.caret;
    onChange(applied.text);
    setCaret(applied.caret);
  };
  const keyDown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey || !completion.isOpen || !completion.isMoved)) {
      if (event.shiftKey) return;
      event.preventDefault();
      completion.close();
      onRun(area.current.value);
    } else {
      completion.keyDown(event, choose);
    }
  };
  const input = (event) => {
    onChange(event.target.value);
    setCaret(event.target.selectionStart);
    completion.open();
  };
  return html`
    <div class=${`editor ${problem === undefined ? "" : "editor-wrong"}`}>
      <div class="editor-box">
        <${Paint} text=${text} problem=${problem} anchor=${completion.isOpen ? completion.from : undefined} anchorRef=${completion.anchor} />
        <textarea ref=${area} rows="1" value=${text} placeholder=${EXAMPLE} spellcheck=${false}
          autocomplete="off" autocapitalize="off" aria-label="TraceQL query" aria-autocomplete="list" aria-expanded=${completion.isOpen}
          aria-controls="completion" aria-activedescendant=${completion.isOpen ? `completion-${completion.chosen}` : undefined}
          aria-invalid=${problem !== undefined} onInput=${input} onKeyDown=${keyDown} onKeyUp=${moved} onClick=${() => { moved(); completion.open(); }}
          onBlur=${completion.close}></textarea>
        <${CompletionList} completion=${completion} onChoose=${choose} />
      </div>
      ${problem !== undefined && html`<p class="editor-problem" role="status">${problem.message}</p>`}
    </div>
  `;
}

// The copy: a span for each token, one more around the error, and an empty one where the list of choices hangs.
function Paint({ text, problem, anchor, anchorRef }) {
  const pieces = [];
  for (const token of tokenize(text)) {
    const cuts = [token.from, problem?.from, problem?.to, anchor, token.to].filter((at) => at !== undefined && at >= token.from && at <= token.to);
    const places = [...new Set(cuts)].sort((a, b) => a - b);
    for (let i = 0; i + 1 < places.length; i++) {
      if (places[i] === anchor) pieces.push(html`<span key="anchor" ref=${anchorRef}></span>`);
      const isWrong = problem !== undefined && places[i] >= problem.from && places[i + 1] <= problem.to;
      pieces.push(html`<span class=${`t-${token.kind} ${isWrong ? "t-wrong" : ""}`}>${text.slice(places[i], places[i + 1])}</span>`);
    }
  }
  if (anchor !== undefined && anchor >= text.length) pieces.push(html`<span key="anchor" ref=${anchorRef}></span>`);
  if (problem !== undefined && problem.from >= text.length) pieces.push(html`<span class="t-wrong"> </span>`);
  // A line break at the very end would not be given a line.
  return html`<pre class="editor-paint" aria-hidden="true">${pieces}${"\u200b"}</pre>`;
}
