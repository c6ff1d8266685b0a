// All that a span says.

import { html, useEffect, useState } from "../../components/html.js";
import { Copy, Failure, Service } from "../../components/parts.js";
import { Icon } from "../../components/icon.js";
import { change, link } from "../../location.js";
import { duration, exactMoment, millisOfNanos } from "../../model/format.js";
import { attributeName, quote } from "../../model/traceql_tokens.js";

export function Details({ client, trace, row, hues, onClose, onSelect }) {
  const { span, error } = useDetails(client, row);
  const length = trace.end[row] - trace.start[row];
  const service = trace.services[trace.service[row]];
  return html`
    <aside class="details" aria-label="Span details">
      <header>
        <div class="details-title"><${Service} name=${service} hues=${hues} /><h2>${trace.names[trace.name[row]]}</h2></div>
        <button class="icon-button" aria-label="Close the details" onClick=${onClose}><${Icon} name="close" /></button>
      </header>
      <dl class="facts">
        <div><dt>Duration</dt><dd>${duration(length)}</dd></div>
        <div><dt>Self time</dt><dd>${duration(trace.self[row])}</dd></div>
        <div><dt>Starts at</dt><dd>${duration(trace.start[row])}</dd></div>
        ${trace.parent[row] >= 0 && html`<div><dt>Parent</dt><dd><button class="as-link" onClick=${() => onSelect(trace.parent[row])}>${trace.names[trace.name[trace.parent[row]]]}</button></dd></div>`}
      </dl>
      ${error !== undefined && html`<${Failure} error=${error} />`}
      ${span !== undefined && html`<${Sections} span=${span} service=${service} />`}
    </aside>
  `;
}

function useDetails(client, row) {
  const [state, setState] = useState({});
  useEffect(() => {
    let isCurrent = true;
    client.ask("details", { row }).then(
      (span) => {
        if (!isCurrent) return;
        setState({ span });
        change({ span: span.id }, { replacing: true });
      },
      (error) => isCurrent && setState({ error }),
    );
    return () => {
      isCurrent = false;
    };
  }, [client, row]);
  return state;
}

function Sections({ span }) {
  const facts = [
    { key: "kind", text: span.kind, condition: `kind = ${span.kind}` },
    { key: "status", text: span.status, condition: `status = ${span.status}` },
    span.statusMessage !== "" && { key: "status message", text: span.statusMessage, condition: `statusMessage = ${quote(span.statusMessage)}` },
    { key: "start", text: exactMoment(millisOfNanos(span.start)) },
    { key: "span id", text: span.id },
    span.parentId !== "" && { key: "parent id", text: span.parentId },
    span.traceState !== "" && { key: "trace state", text: span.traceState },
    span.scope.name !== "" && { key: "library", text: `${span.scope.name} ${span.scope.version}`.trim() },
  ].filter(Boolean);
  return html`
    <${Events} events=${span.events} />
    <${Links} links=${span.links} />
    <${Pairs} title="Span attributes" pairs=${withConditions(span.attributes, "span")} />
    <${Pairs} title="Span" pairs=${facts} />
    <${Pairs} title="Resource" pairs=${withConditions(span.resource, "resource")} />
    <${Pairs} title="Library" pairs=${withConditions(span.scope.attributes, "instrumentation")} />
  `;
}

// What finds spans with the same value; lists, maps and bytes cannot be compared.
function withConditions(attributes, scope) {
  const literals = { string: quote, int: String, float: String, bool: String };
  return attributes.map(({ key, type, text }) => ({ key, text, condition: literals[type] && `${attributeName(scope, key)} = ${literals[type](text)}` }));
}

function Pairs({ title, pairs }) {
  if (pairs.length === 0) return null;
  return html`
    ${title !== "" && html`<h3>${title}</h3>`}
    <table class="pairs"><tbody>
      ${pairs.map(({ key, text, condition }, place) => html`<tr key=${place}>
        <th scope="row">${key}</th><td><span class="value">${text}</span></td>
        <td class="pair-actions"><${Copy} text=${text} label=${`Copy the value of ${key}`} />${condition !== undefined && html`<a class="copy button" title="Search for spans with this value" aria-label=${`Search for this value of ${key}`} href=${link("search", undefined, { q: `{ ${condition} }` })}><${Icon} name="search" /></a>`}</td>
      </tr>`)}
    </tbody></table>
  `;
}

function Events({ events }) {
  if (events.length === 0) return null;
  return html`
    <h3>Events</h3>
    ${events.map((event, place) => html`<details class="event" key=${place} open=${events.length < 4}>
      <summary><b>${event.name || "(no name)"}</b> <span class="muted">at ${duration(event.sinceStart)}</span></summary>
      <${Pairs} title="" pairs=${withConditions(event.attributes, "event")} />
    </details>`)}
  `;
}

function Links({ links }) {
  if (links.length === 0) return null;
  return html`
    <h3>Links</h3>
    <ul class="links">${links.map(({ traceId, spanId, attributes }, place) => html`<li key=${place}>
      <a class="mono" href=${link("trace", traceId, { span: spanId })}>${traceId}</a>
      <${Pairs} title="" pairs=${withConditions(attributes, "link")} />
    </li>`)}</ul>
  `;
}
