// The form beside the query: conditions that all hold of one span. The text is what counts; the form is read out of it as
// far as it has this shape, and writes it back.

import { quote, tokenize, unquote } from "./traceql_tokens.js";

export const EMPTY_FORM = { service: "", name: "", status: "", minDuration: "", maxDuration: "", attributes: [] };
// Numbers and durations; an address such as 10.0.0.1 is neither.
const NUMBER = /^(\d+(\.\d+)?([eE][+-]?\d+)?|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d|w|y))+)$/;

export const OPERATORS = ["=", "!=", "=~", "!~", ">", ">=", "<", "<="];

// The query of a form; an empty form is `{}`, every span.
export function write(form) {
  const conditions = [];
  if (form.service !== "") conditions.push(`resource.service.name = ${quote(form.service)}`);
  if (form.name !== "") conditions.push(`name = ${quote(form.name)}`);
  if (form.status !== "") conditions.push(`status = ${form.status}`);
  if (form.minDuration !== "") conditions.push(`duration >= ${form.minDuration}`);
  if (form.maxDuration !== "") conditions.push(`duration <= ${form.maxDuration}`);
  for (const { key, operator, value } of form.attributes) if (key !== "" && value !== "") conditions.push(`${key} ${operator} ${value}`);
  return conditions.length === 0 ? "{}" : `{ ${conditions.join(" && ")} }`;
}

// The form of a query, or undefined if the query says what a form cannot.
export function read(query) {
  const tokens = tokenize(query).filter((token) => token.kind !== "space" && token.kind !== "comment");
  if (tokens.length === 0) return { ...EMPTY_FORM, attributes: [] };
  if (tokens[0].text !== "{" || tokens.at(-1).text !== "}") return undefined;
  const form = { ...EMPTY_FORM, attributes: [] };
  const inner = tokens.slice(1, -1);
  if (inner.length > 0 && inner.length % 4 !== 3) return undefined;
  for (let at = 0; at < inner.length; at += 4) {
    if (at > 0 && inner[at - 1].text !== "&&") return undefined;
    if (!take(form, inner[at], inner[at + 1], inner[at + 2])) return undefined;
  }
  return form;
}

function take(form, left, operator, right) {
  const isValue = ["string", "number", "constant"].includes(right.kind);
  if (!["attribute", "intrinsic"].includes(left.kind) || !OPERATORS.includes(operator.text) || !isValue) return false;
  const field = fieldOf(left.text, operator.text);
  if (field !== undefined && form[field] === "" && (field !== "service" && field !== "name" || right.kind === "string")) {
    form[field] = right.kind === "string" ? unquote(right.text) : right.text;
  } else {
    form.attributes.push({ key: left.text, operator: operator.text, value: right.text });
  }
  return true;
}

function fieldOf(key, operator) {
  if (operator === "=") return { "resource.service.name": "service", name: "name", "span:name": "name", status: "status", "span:status": "status" }[key];
  if (key !== "duration" && key !== "span:duration") return undefined;
  return { ">=": "minDuration", "<=": "maxDuration" }[operator];
}

// What somebody typed into a value field, as a literal: numbers, durations and words of the language as they are.
export function valueLiteral(text) {
  const typed = text.trim();
  const tokens = tokenize(typed);
  const isLiteral = tokens.length === 1 && (["constant", "string"].includes(tokens[0].kind) || NUMBER.test(typed));
  return typed === "" || isLiteral ? typed : quote(typed);
}

// The query with one more condition, in its first filter; used by "search for this value".
export function withCondition(query, condition) {
  const open = tokenize(query).find((token) => token.text === "{");
  if (open === undefined) return `{ ${condition} }`;
  const rest = query.slice(open.to).trimStart();
  return `${query.slice(0, open.to)} ${condition}${rest.startsWith("}") ? " " : " && "}${rest}`;
}

// Whether a query makes series rather than finds traces.
export function isMetricsQuery(query) {
  return tokenize(query).some((token) => token.kind === "function" && /^(rate|compare|\w+_over_time)$/.test(token.text));
}

// Asks for more attributes than the query names, so that they can be shown as columns.
export function withColumns(query, columns) {
  const text = query.trim() === "" ? "{}" : query.trim();
  return columns.length === 0 ? text : `${text} | select(${columns.join(", ")})`;
}
