// The form for people who do not know TraceQL. It has no state of its own but unfinished rows: the query's text is what
// counts, and each change of a field writes it anew.

import { html, useEffect, useState } from "../../components/html.js";
import { EMPTY_FORM, OPERATORS, read, valueLiteral, write } from "../../model/query_form.js";
import { quote, unquote } from "../../model/traceql_tokens.js";
import { choices } from "../../model/completion.js";
import { tagNames, tagValues } from "../../api/tags.js";
import { Icon } from "../../components/icon.js";

const STATUSES = [["", "Any"], ["error", "Error"], ["ok", "Ok"], ["unset", "Unset"]];
const DURATION = /^\s*(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+\s*$/;

export function QueryForm({ query, range, onChange, onRun }) {
  const [isOpen, setOpen] = useState(false);
  const form = read(query);
  return html`
    <aside class=${`form ${isOpen ? "form-open" : ""}`} aria-label="Search form">
      <button class="form-toggle" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>Filters <${Icon} name=${isOpen ? "down" : "right"} /></button>
      <div class="form-body">
        ${form === undefined
          ? html`<${TooMuch} onReset=${() => onChange("{}")} />`
          : html`<${Fields} form=${form} query=${query} range=${range} onChange=${(changed) => onChange(write(changed))} onRun=${(changed) => onRun(write(changed))} />`}
      </div>
    </aside>
  `;
}

function TooMuch({ onReset }) {
  return html`
    <p class="muted">The query is not finished, or says more than the form can show. Edit it as text, or start over.</p>
    <button onClick=${onReset}>Start over</button>
  `;
}

function Fields({ form, query, range, onChange, onRun }) {
  const set = (name) => (value) => onChange({ ...form, [name]: value });
  const run = (event) => {
    event.preventDefault();
    onRun(form);
  };
  return html`
    <form onSubmit=${run}>
      <${Suggested} label="Service" attribute="resource.service.name" value=${form.service} range=${range} query="{}" onChange=${set("service")} />
      <${Suggested} label="Span name" attribute="name" value=${form.name} range=${range} query=${write({ ...EMPTY_FORM, service: form.service })} onChange=${set("name")} />
      <fieldset class="segments"><legend>Status</legend>
        ${STATUSES.map(([value, label]) => html`<label key=${value}><input type="radio" name="status" checked=${form.status === value} onChange=${() => set("status")(value)} /><span>${label}</span></label>`)}
      </fieldset>
      <div class="pair">
        <${DurationField} label="At least" value=${form.minDuration} onChange=${set("minDuration")} />
        <${DurationField} label="At most" value=${form.maxDuration} onChange=${set("maxDuration")} />
      </div>
      <${Attributes} rows=${form.attributes} query=${query} range=${range} onChange=${set("attributes")} />
      <div class="buttons"><button type="submit" class="primary">Search</button><button type="button" onClick=${() => onRun({ ...EMPTY_FORM })}>Clear</button></div>
    </form>
  `;
}

// A field with the values that the server knows.
function Suggested({ label, attribute, value, range, query, onChange }) {
  const [values, setValues] = useState([]);
  const load = () => tagValues(attribute, query, range).then((found) => setValues(found.map((entry) => entry.value)), () => setValues([]));
  const id = `values-${attribute}`;
  return html`
    <label>${label}
      <input type="text" list=${id} value=${value} placeholder="any" spellcheck=${false} autocomplete="off" onFocus=${load} onInput=${(event) => onChange(event.target.value)} />
      <datalist id=${id}>${values.map((text) => html`<option key=${text} value=${text} />`)}</datalist>
    </label>
  `;
}

// Goes into the query when it is a duration; until then the field keeps what is typed.
function DurationField({ label, value, onChange }) {
  const [text, setText] = useTyped(value);
  const isWrong = text.trim() !== "" && !DURATION.test(text);
  const input = (event) => {
    const typed = event.target.value.trim();
    setText(event.target.value);
    if (typed === "" || DURATION.test(typed)) onChange(typed);
  };
  return html`<label>${label}<input type="text" value=${text} placeholder="100ms" aria-invalid=${isWrong} title="A number with ns, us, ms, s, m or h" onInput=${input} /></label>`;
}

const NEW_ROW = { key: "", operator: "=", value: "" };

// Conditions on attributes. The last row is for a new one and goes into the query when it has a key and a value.
function Attributes({ rows, query, range, onChange }) {
  const [scopes, setScopes] = useState([]);
  const [draft, setDraft] = useState(NEW_ROW);
  const load = () => tagNames(range).then(setScopes, () => setScopes([]));
  const change = (place, row) => onChange(rows.map((old, at) => (at === place ? row : old)));
  const add = (row) => {
    if (row.key === "" || row.value === "") return setDraft(row);
    onChange([...rows, row]);
    return setDraft(NEW_ROW);
  };
  const names = choices({ kind: "attribute" }, "", { scopes });
  return html`
    <fieldset class="attributes"><legend>Attributes</legend>
      <datalist id="attribute-names">${names.map(({ text }) => html`<option key=${text} value=${text} />`)}</datalist>
      ${rows.map((row, place) => html`<${AttributeRow} key=${place} row=${row} query=${query} range=${range} onFocus=${load} onChange=${(changed) => change(place, changed)}
        onRemove=${() => onChange(rows.filter((_, at) => at !== place))} />`)}
      <${AttributeRow} key=${`new ${rows.length}`} row=${draft} query=${query} range=${range} onFocus=${load} onChange=${add} />
    </fieldset>
  `;
}

// A string is shown without its quotes; what is typed gets them when it is a string.
const shown = (value) => (/^["`]/.test(value) ? unquote(value) : value);

function AttributeRow({ row, query, range, onFocus, onChange, onRemove }) {
  const [values, setValues] = useState([]);
  // What is typed goes into the query when the field is left, not at every key: half a value is another query.
  const [key, setKey] = useTyped(row.key);
  const [value, setValue] = useTyped(shown(row.value));
  const load = () => row.key !== "" && tagValues(row.key, query, range).then(setValues, () => setValues([]));
  const id = `values-of-${row.key}`;
  const keep = ({ target }) => {
    const known = values.find((entry) => entry.value === target.value);
    onChange({ ...row, value: known?.type === "string" ? quote(target.value) : valueLiteral(target.value) });
  };
  return html`
    <div class="attribute-row">
      <input type="text" list="attribute-names" aria-label="Attribute" placeholder="span.http.route" value=${key} spellcheck=${false} autocomplete="off"
        onFocus=${onFocus} onInput=${(event) => setKey(event.target.value)} onChange=${(event) => onChange({ ...row, key: event.target.value.trim() })} />
      <div class="attribute-value">
        <select aria-label="Comparison" value=${row.operator} onChange=${(event) => onChange({ ...row, operator: event.target.value })}>${OPERATORS.map((text) => html`<option key=${text} value=${text}>${text}</option>`)}</select>
        <input type="text" list=${id} aria-label="Value" placeholder="value" value=${value} spellcheck=${false} autocomplete="off" onFocus=${load} onInput=${(event) => setValue(event.target.value)} onChange=${keep} />
        <datalist id=${id}>${values.map((entry) => html`<option key=${entry.value} value=${entry.value} />`)}</datalist>
        ${onRemove !== undefined && html`<button type="button" class="icon-button" aria-label="Remove the condition" onClick=${onRemove}><${Icon} name="close" /></button>`}
      </div>
    </div>
  `;
}

// The text of a field while it is typed; a new value from outside takes its place.
function useTyped(value) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return [text, setText];
}
