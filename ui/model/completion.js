// What may stand at the caret of a query: names of attributes, values of one, operators, functions.

import { attributeName, literal, tokenize } from "./traceql_tokens.js";

const COMPARISONS = ["=", "!=", "=~", "!~", ">", ">=", "<", "<="];
const INTRINSICS = ["name", "status", "duration", "kind", "statusMessage", "rootName", "rootServiceName", "traceDuration", "event:name", "event:timeSinceStart",
  "link:traceID", "link:spanID", "instrumentation:name", "instrumentation:version", "span:childCount", "span:id", "span:parentID", "trace:id", "nestedSetParent"];
const STAGES = [
  ["rate()", "spans per second"], ["count_over_time()", "spans per step"], ["quantile_over_time(duration, .95)", "95 % are faster"],
  ["histogram_over_time(duration)", "durations as a histogram"], ["avg_over_time(duration)", ""], ["max_over_time(duration)", ""], ["min_over_time(duration)", ""],
  ["sum_over_time(duration)", ""], ["compare({ status = error })", "what sets these spans apart"], ["select(", "show attributes"], ["by(", "group the spans of a trace"],
  ["count() > ", "number of spans"], ["avg(duration) > ", ""], ["max(duration) > ", ""], ["min(duration) > ", ""], ["sum(duration) > ", ""],
];
const BETWEEN = [["&&", "both in one trace"], ["||", "either"], [">>", "descendant"], [">", "child"], ["<<", "ancestor"], ["<", "parent"], ["~", "sibling"],
  ["&>>", "descendant, with both shown"], ["|", "next stage"]];

// Where the caret is: `{kind, from, to, …}`; text from..to is what a choice replaces. Kinds: "attribute", "value" (with
// `attribute`), "comparison", "logic", "stage", "between", "none".
export function contextAt(text, caret) {
  const tokens = tokenize(text).filter((token) => token.kind !== "space" && token.from < caret);
  const last = tokens.at(-1);
  // A word that the caret touches is still being written.
  const isTyping = last !== undefined && last.to >= caret && !["operator", "bracket"].includes(last.kind);
  const before = isTyping ? tokens.slice(0, -1) : tokens;
  const from = isTyping ? last.from : caret;
  const to = isTyping ? last.to : caret;
  if (isTyping && (last.kind === "comment" || last.kind === "unknown")) return { kind: "none", from, to };
  return { ...place(before, isTyping ? last : undefined), from, to };
}

function place(before, typing) {
  const depth = nesting(before);
  const previous = before.at(-1);
  if (depth.braces > 0) return insideFilter(before, previous);
  if (depth.attributes) return { kind: "attribute" };
  if (depth.parentheses > 0 && previous?.text !== "(") return { kind: "none" };
  if (previous?.text === "|") return { kind: "stage" };
  if (previous === undefined || ["&&", "||", ">>", "<<", "~", "&>>", "&<<", "("].includes(previous.text)) return { kind: "filter" };
  if (previous.text === "}") return { kind: "between" };
  return typing?.kind === "function" ? { kind: "stage" } : { kind: "none" };
}

function insideFilter(before, previous) {
  if (COMPARISONS.includes(previous.text)) {
    const left = before.at(-2);
    const isAttribute = left !== undefined && ["attribute", "intrinsic"].includes(left.kind);
    return isAttribute ? { kind: "value", attribute: left.text } : { kind: "none" };
  }
  if (["attribute", "intrinsic"].includes(previous.kind)) return { kind: "comparison" };
  if (["string", "number", "constant"].includes(previous.kind) || previous.text === ")") return { kind: "logic" };
  return { kind: "attribute" };
}

// How many brackets are open before the caret, and whether the innermost is a list of attributes.
function nesting(before) {
  const open = [];
  for (const [at, token] of before.entries()) {
    if (token.text === "{" || token.text === "(") open.push({ text: token.text, call: before[at - 1]?.text });
    else if (token.text === "}" || token.text === ")") open.pop();
  }
  const inner = open.at(-1);
  const lists = ["by", "select", "avg", "max", "min", "sum", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "histogram_over_time", "quantile_over_time"];
  return {
    braces: open.filter(({ text }) => text === "{").length,
    parentheses: open.filter(({ text }) => text === "(").length,
    attributes: inner?.text === "(" && lists.includes(inner.call),
  };
}

// Choices for a context. `scopes` is the answer of /api/v2/search/tags, `values` of the attribute's values.
export function choices(context, typed, { scopes = [], values = [] } = {}) {
  const all = allChoices(context, scopes, values);
  return rank(all, typed);
}

function allChoices(context, scopes, values) {
  const pairs = (list) => list.map(([text, detail]) => ({ text, detail }));
  switch (context.kind) {
    case "attribute": return [...attributes(scopes), ...INTRINSICS.map((text) => ({ text, detail: "intrinsic" }))];
    case "value": return values.map((value) => ({ text: literal(value), detail: value.type }));
    case "comparison": return COMPARISONS.map((text) => ({ text, detail: "" }));
    case "logic": return [{ text: "&&", detail: "and" }, { text: "||", detail: "or" }];
    case "stage": return pairs(STAGES);
    case "between": return pairs(BETWEEN);
    case "filter": return [{ text: "{  }", detail: "spans", caret: 2 }];
    default: return [];
  }
}

function attributes(scopes) {
  const ordered = ["resource", "span", "event", "link", "instrumentation"];
  const known = scopes.filter(({ name }) => ordered.includes(name)).sort((a, b) => ordered.indexOf(a.name) - ordered.indexOf(b.name));
  return known.flatMap(({ name, tags = [] }) => tags.map((tag) => ({ text: attributeName(name, tag), detail: name })));
}

const MOST_SHOWN = 60;

// First what starts with the typed text, with or without the scope, then what holds it anywhere.
function rank(all, typed) {
  const wanted = typed.toLowerCase().replace(/^["`]/, "").replace(/["`]$/, "");
  const place = ({ text }) => {
    const bare = text.toLowerCase().replace(/^"/, "");
    if (bare.startsWith(wanted)) return 0;
    if (bare.replace(/^[a-z]+\./, ".").startsWith(wanted.startsWith(".") ? wanted : `.${wanted}`)) return 1;
    return bare.includes(wanted.replace(/^\./, "")) ? 2 : 3;
  };
  const placed = all.map((choice) => ({ choice, place: place(choice) })).filter((entry) => entry.place < 3 && entry.choice.text !== typed);
  return placed.sort((a, b) => a.place - b.place).map((entry) => entry.choice).slice(0, MOST_SHOWN);
}

// The text and caret after a choice.
export function apply(text, context, choice) {
  const needsBlank = ["comparison", "logic", "between", "attribute", "value"].includes(context.kind) && text[context.to] !== " ";
  const inserted = choice.text + (needsBlank && choice.caret === undefined ? " " : "");
  const before = text.slice(0, context.from);
  return { text: before + inserted + text.slice(context.to), caret: before.length + (choice.caret ?? inserted.length) };
}
