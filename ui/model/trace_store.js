// One open trace: the columns that are drawn, and the bytes that everything else is read from on demand. Lives in a worker.

import { arrange } from "./trace.js";
import { KINDS, STATUSES, decodeAnswer, readWholeSpan, textOf } from "./otlp.js";

export class TraceStore {
  constructor(bytes) {
    const answer = decodeAnswer(bytes);
    this.spans = answer.spans;
    this.isPartial = answer.isPartial;
    this.message = answer.message;
    this.trace = arrange(this.spans);
    // Lower-case text of each row, made when it is searched first.
    this.texts = [];
  }

  // Everything about one row, as plain data; moments are texts of nanoseconds.
  details(row) {
    const wire = this.trace.wire[row];
    const { start, end, events, attributes, resource, scope, ...rest } = readWholeSpan(this.spans, wire);
    const since = (time) => Number(time - start);
    return {
      ...rest,
      row,
      start: start.toString(),
      end: end.toString(),
      kind: KINDS[this.trace.kind[row]] ?? "unspecified",
      status: STATUSES[this.trace.status[row]] ?? "unset",
      attributes: plain(attributes),
      resource: plain(resource),
      scope: { ...scope, attributes: plain(scope.attributes) },
      events: events.map((event) => ({ name: event.name, time: event.time.toString(), sinceStart: since(event.time), attributes: plain(event.attributes) })),
      links: rest.links.map((link) => ({ ...link, attributes: plain(link.attributes) })),
    };
  }

  // Rows whose name, service, id, attributes or events hold the text, in any case.
  find(text) {
    const wanted = text.toLowerCase();
    const rows = [];
    for (let row = 0; row < this.trace.count; row++) if (this.textOfRow(row).includes(wanted)) rows.push(row);
    return Int32Array.from(rows);
  }

  // The row of a span id, in hex.
  rowOf(id) {
    const wanted = id.padStart(16, "0").toLowerCase();
    const bytes = wanted.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16)));
    return this.trace.wire.findIndex((wire) => this.spans.id[wire] === bytes);
  }

  textOfRow(row) {
    this.texts[row] ??= this.makeText(row);
    return this.texts[row];
  }

  makeText(row) {
    const span = readWholeSpan(this.spans, this.trace.wire[row]);
    const pairs = (attributes) => attributes.map(({ key, value }) => `${key}=${textOf(value)}`);
    const events = span.events.flatMap((event) => [event.name, ...pairs(event.attributes)]);
    const parts = [this.trace.names[this.trace.name[row]], this.trace.services[this.trace.service[row]], span.id, span.statusMessage];
    return [...parts, ...pairs(span.attributes), ...events].join("\n").toLowerCase();
  }
}

// Attributes with their values as text.
function plain(attributes) {
  return attributes.map(({ key, value }) => ({ key, type: value.type, text: textOf(value) }));
}
