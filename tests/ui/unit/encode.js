// Writes the protobuf of a trace for tests, by the published field numbers (spec/proto-facts.md); no code of the page in it.

const text = new TextEncoder();

function varint(value) {
  const bytes = [];
  let left = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(left & 127n) | (left > 127n ? 128 : 0));
    left >>= 7n;
  } while (left > 0n);
  return bytes;
}

const key = (field, type) => varint((field << 3) | type);
export const bytes = (field, value) => [...key(field, 2), ...varint(value.length), ...value];
export const string = (field, value) => bytes(field, [...text.encode(value)]);
export const number = (field, value) => [...key(field, 0), ...varint(value)];
export const fixed64 = (field, value) => [...key(field, 1), ...new Uint8Array(new BigUint64Array([BigInt(value)]).buffer)];
const double = (field, value) => [...key(field, 1), ...new Uint8Array(new Float64Array([value]).buffer)];
const hex = (field, value) => bytes(field, value.match(/../g)?.map((pair) => parseInt(pair, 16)) ?? []);

export function value(any) {
  if (typeof any === "string") return string(1, any);
  if (typeof any === "boolean") return number(2, any ? 1 : 0);
  if (typeof any === "bigint") return number(3, any);
  if (typeof any === "number") return double(4, any);
  if (Array.isArray(any)) return bytes(5, any.flatMap((item) => bytes(1, value(item))));
  return bytes(6, Object.entries(any).flatMap(([name, item]) => bytes(1, pair(name, item))));
}

const pair = (name, any) => [...string(1, name), ...bytes(2, value(any))];
const pairs = (field, attributes = {}) => Object.entries(attributes).flatMap(([name, any]) => bytes(field, pair(name, any)));

export const id = (number) => number.toString(16).padStart(16, "0");

// `{id, parent, name, start, end, error, kind, attributes, events, links}`; numbers as ids, nanoseconds as times.
function span(given) {
  return [
    ...hex(1, "0".repeat(30) + "2a"), ...hex(2, id(given.id)), ...(given.parent === undefined ? [] : hex(4, id(given.parent))),
    ...string(5, given.name ?? `span ${given.id}`), ...number(6, given.kind ?? 1), ...fixed64(7, given.start), ...fixed64(8, given.end),
    ...pairs(9, given.attributes),
    ...(given.events ?? []).flatMap((event) => bytes(11, [...fixed64(1, event.time), ...string(2, event.name), ...pairs(3, event.attributes)])),
    ...(given.links ?? []).flatMap((link) => bytes(13, [...hex(1, link.trace), ...hex(2, link.span)])),
    ...bytes(15, given.error === undefined ? [] : [...string(2, given.error), ...number(3, 2)]),
  ];
}

// The answer to a trace by id: spans by service.
export function answer(services, { partial } = {}) {
  const batches = Object.entries(services).flatMap(([service, spans]) => {
    const scope = [...bytes(1, string(1, "library")), ...spans.flatMap((one) => bytes(2, span(one)))];
    return bytes(1, [...bytes(1, pairs(1, { "service.name": service })), ...bytes(2, scope)]);
  });
  const told = partial === undefined ? [] : [...number(3, 1), ...string(4, partial)];
  return Uint8Array.from([...bytes(1, batches), ...bytes(2, []), ...told]);
}
