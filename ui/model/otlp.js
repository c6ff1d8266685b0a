// A trace as the server sends it (protobuf, `TraceByIDResponse`), read into columns. Attributes, events and links stay in the
// bytes until somebody opens a span: a trace of 100,000 spans has a million of them, and a screen shows twenty.

import { BYTES, Cursor, FIXED64 } from "./protobuf.js";

export const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
export const STATUSES = ["unset", "ok", "error"];
export const STATUS_ERROR = 2;

// The answer to /api/v2/traces/{id}. `isPartial` says that the server left spans out, `message` why.
export function decodeAnswer(bytes) {
  const spans = new SpanColumns(bytes);
  const answer = { spans, isPartial: false, message: "" };
  const cursor = new Cursor(bytes);
  while (cursor.next()) {
    if (cursor.field === 1) readTrace(spans, cursor.from, cursor.to);
    else if (cursor.field === 3) answer.isPartial = cursor.number() === 1;
    else if (cursor.field === 4) answer.message = cursor.text();
  }
  return answer;
}

// Growing columns, in the order of the wire.
class SpanColumns {
  constructor(bytes) {
    this.bytes = bytes;
    this.from = [];
    this.to = [];
    this.resource = [];
    this.scope = [];
    this.name = [];
    this.kind = [];
    this.status = [];
    this.startHigh = [];
    this.startLow = [];
    this.endHigh = [];
    this.endLow = [];
    this.id = [];
    this.parentId = [];
    this.numEvents = [];
    this.numLinks = [];
    this.names = new Interner();
    // Where each resource and scope lies, and the service of each resource.
    this.resources = [];
    this.scopes = [];
  }

  get count() {
    return this.from.length;
  }
}

class Interner {
  constructor() {
    this.texts = [];
    this.indexes = new Map();
  }

  add(text) {
    let index = this.indexes.get(text);
    if (index === undefined) {
      index = this.texts.push(text) - 1;
      this.indexes.set(text, index);
    }
    return index;
  }
}

function readTrace(spans, from, to) {
  const cursor = new Cursor(spans.bytes, from, to);
  while (cursor.next()) if (cursor.field === 1) readResourceSpans(spans, cursor.from, cursor.to);
}

function readResourceSpans(spans, from, to) {
  const cursor = new Cursor(spans.bytes, from, to);
  const resource = spans.resources.push({ from: 0, to: 0, service: "" }) - 1;
  while (cursor.next()) {
    if (cursor.field === 1) {
      spans.resources[resource] = { from: cursor.from, to: cursor.to, service: serviceOf(spans.bytes, cursor.from, cursor.to) };
    } else if (cursor.field === 2) {
      readScopeSpans(spans, resource, cursor.from, cursor.to);
    }
  }
}

function serviceOf(bytes, from, to) {
  const service = readResource(bytes, from, to).find((attribute) => attribute.key === "service.name");
  return service === undefined ? "" : textOf(service.value);
}

function readScopeSpans(spans, resource, from, to) {
  const cursor = new Cursor(spans.bytes, from, to);
  const inner = new Cursor(spans.bytes);
  const scope = spans.scopes.push({ from: 0, to: 0 }) - 1;
  while (cursor.next()) {
    if (cursor.field === 1) {
      spans.scopes[scope] = { from: cursor.from, to: cursor.to };
    } else if (cursor.field === 2) {
      spans.resource.push(resource);
      spans.scope.push(scope);
      readSpan(spans, inner.within(cursor.from, cursor.to));
    }
  }
}

function readSpan(spans, cursor) {
  const span = { name: "", kind: 0, status: 0, start: -1, end: -1, id: "", parentId: "", numEvents: 0, numLinks: 0 };
  spans.from.push(cursor.at);
  spans.to.push(cursor.end);
  while (cursor.next()) {
    switch (cursor.field) {
      case 2: span.id = idText(cursor); break;
      case 4: span.parentId = idText(cursor); break;
      case 5: span.name = shortText(cursor); break;
      case 6: span.kind = cursor.number(); break;
      case 7: span.start = cursor.from; break;
      case 8: span.end = cursor.from; break;
      case 11: span.numEvents++; break;
      case 13: span.numLinks++; break;
      case 15: span.status = statusCode(spans.bytes, cursor.from, cursor.to); break;
    }
  }
  keepSpan(spans, cursor.view, span);
}

function keepSpan(spans, view, span) {
  const word = (at, offset) => (at < 0 ? 0 : view.getUint32(at + offset, true));
  spans.startHigh.push(word(span.start, 4));
  spans.startLow.push(word(span.start, 0));
  spans.endHigh.push(word(span.end, 4));
  spans.endLow.push(word(span.end, 0));
  spans.name.push(spans.names.add(span.name));
  spans.kind.push(span.kind);
  spans.status.push(span.status);
  spans.id.push(span.id);
  spans.parentId.push(span.parentId);
  spans.numEvents.push(span.numEvents);
  spans.numLinks.push(span.numLinks);
}

// An id as a key of a map: its bytes as characters, several times cheaper to make than hex.
function idText(cursor) {
  let text = "";
  for (let at = cursor.from; at < cursor.to; at++) text += String.fromCharCode(cursor.bytes[at]);
  return text;
}

// Most names are short and ASCII, for which a decoder costs more than the characters.
function shortText(cursor) {
  if (cursor.to - cursor.from > 64) return cursor.text();
  let text = "";
  for (let at = cursor.from; at < cursor.to; at++) {
    const byte = cursor.bytes[at];
    if (byte > 127) return cursor.text();
    text += String.fromCharCode(byte);
  }
  return text;
}

function statusCode(bytes, from, to) {
  const cursor = new Cursor(bytes, from, to);
  let code = 0;
  while (cursor.next()) if (cursor.field === 3) code = cursor.number();
  return code;
}

// ---- what is read when a span is opened ----

// Everything a span says, with times in nanoseconds as BigInt.
export function readWholeSpan(spans, index) {
  const { bytes } = spans;
  const cursor = new Cursor(bytes, spans.from[index], spans.to[index]);
  const span = { traceId: "", id: "", parentId: "", traceState: "", start: 0n, end: 0n, statusMessage: "", attributes: [], events: [], links: [] };
  while (cursor.next()) {
    switch (cursor.field) {
      case 1: span.traceId = cursor.hex(); break;
      case 2: span.id = cursor.hex(); break;
      case 3: span.traceState = cursor.text(); break;
      case 4: span.parentId = cursor.hex(); break;
      case 7: span.start = cursor.fixed64(); break;
      case 8: span.end = cursor.fixed64(); break;
      case 9: span.attributes.push(readKeyValue(bytes, cursor.from, cursor.to)); break;
      case 11: span.events.push(readEvent(bytes, cursor.from, cursor.to)); break;
      case 13: span.links.push(readLink(bytes, cursor.from, cursor.to)); break;
      case 15: span.statusMessage = statusMessage(bytes, cursor.from, cursor.to); break;
    }
  }
  const resource = spans.resources[spans.resource[index]];
  const scope = spans.scopes[spans.scope[index]];
  span.resource = readResource(bytes, resource.from, resource.to);
  span.scope = readScope(bytes, scope.from, scope.to);
  return span;
}

function statusMessage(bytes, from, to) {
  const cursor = new Cursor(bytes, from, to);
  let message = "";
  while (cursor.next()) if (cursor.field === 2) message = cursor.text();
  return message;
}

function readResource(bytes, from, to) {
  const cursor = new Cursor(bytes, from, to);
  const attributes = [];
  while (cursor.next()) if (cursor.field === 1) attributes.push(readKeyValue(bytes, cursor.from, cursor.to));
  return attributes;
}

function readScope(bytes, from, to) {
  const cursor = new Cursor(bytes, from, to);
  const scope = { name: "", version: "", attributes: [] };
  while (cursor.next()) {
    if (cursor.field === 1) scope.name = cursor.text();
    else if (cursor.field === 2) scope.version = cursor.text();
    else if (cursor.field === 3) scope.attributes.push(readKeyValue(bytes, cursor.from, cursor.to));
  }
  return scope;
}

function readEvent(bytes, from, to) {
  const cursor = new Cursor(bytes, from, to);
  const event = { time: 0n, name: "", attributes: [] };
  while (cursor.next()) {
    if (cursor.field === 1 && cursor.type === FIXED64) event.time = cursor.fixed64();
    else if (cursor.field === 2) event.name = cursor.text();
    else if (cursor.field === 3) event.attributes.push(readKeyValue(bytes, cursor.from, cursor.to));
  }
  return event;
}

function readLink(bytes, from, to) {
  const cursor = new Cursor(bytes, from, to);
  const link = { traceId: "", spanId: "", attributes: [] };
  while (cursor.next()) {
    if (cursor.field === 1) link.traceId = cursor.hex();
    else if (cursor.field === 2) link.spanId = cursor.hex();
    else if (cursor.field === 4) link.attributes.push(readKeyValue(bytes, cursor.from, cursor.to));
  }
  return link;
}

function readKeyValue(bytes, from, to) {
  const cursor = new Cursor(bytes, from, to);
  const attribute = { key: "", value: { type: "empty", value: null } };
  while (cursor.next()) {
    if (cursor.field === 1) attribute.key = cursor.text();
    else if (cursor.field === 2 && cursor.type === BYTES) attribute.value = readValue(bytes, cursor.from, cursor.to);
  }
  return attribute;
}

// A value with its type, as `{type, value}`. Integers are BigInt: they may need all 64 bits.
function readValue(bytes, from, to) {
  const cursor = new Cursor(bytes, from, to);
  let value = { type: "empty", value: null };
  while (cursor.next()) {
    switch (cursor.field) {
      case 1: value = { type: "string", value: cursor.text() }; break;
      case 2: value = { type: "bool", value: cursor.number() !== 0 }; break;
      case 3: value = { type: "int", value: cursor.int64() }; break;
      case 4: value = { type: "float", value: cursor.double() }; break;
      case 5: value = { type: "array", value: readList(bytes, cursor.from, cursor.to, readValue) }; break;
      case 6: value = { type: "map", value: readList(bytes, cursor.from, cursor.to, readKeyValue) }; break;
      case 7: value = { type: "bytes", value: cursor.hex() }; break;
    }
  }
  return value;
}

function readList(bytes, from, to, readItem) {
  const cursor = new Cursor(bytes, from, to);
  const items = [];
  while (cursor.next()) if (cursor.field === 1) items.push(readItem(bytes, cursor.from, cursor.to));
  return items;
}

// A value as a person reads it.
export function textOf({ type, value }) {
  switch (type) {
    case "array": return `[${value.map((item) => (item.type === "string" ? JSON.stringify(item.value) : textOf(item))).join(", ")}]`;
    case "map": return `{${value.map((item) => `${item.key}: ${textOf(item.value)}`).join(", ")}}`;
    case "empty": return "";
    default: return String(value);
  }
}
