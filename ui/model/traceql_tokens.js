// TraceQL text cut into tokens, for colouring and for completion (spec/traceql.md §2). It never fails: what it does not know
// is a token of kind "unknown", and a string that is not closed yet ends with the text.

const FUNCTIONS = new Set(["count", "avg", "max", "min", "sum", "by", "coalesce", "select", "rate", "count_over_time", "min_over_time", "max_over_time",
  "avg_over_time", "sum_over_time", "quantile_over_time", "histogram_over_time", "compare", "topk", "bottomk", "with"]);
const CONSTANTS = new Set(["true", "false", "nil", "ok", "error", "unset", "unspecified", "internal", "server", "client", "producer", "consumer", "minInt", "maxInt"]);
const OPENER = /(?:parent\.)?(?:span|resource|event|link|instrumentation)\.|parent\.|\./y;
const NAME = /(?:"(?:[^"\\]|\\.)*"?|[^\s{}()=~!<>&|^,"])*/y;
const PATTERNS = [
  ["space", /\s+/y],
  ["comment", /\/\/[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?/y],
  ["string", /"(?:[^"\\\n]|\\.)*"?|`[^`]*`?/y],
  ["number", /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[a-zµ\d.]*/y],
  ["intrinsic", /(?:span|trace|event|link|instrumentation):[a-zA-Z]*/y],
  ["word", /[\p{L}_][\p{L}\p{N}_]*/uy],
  ["operator", /&&|\|\||=~|!~|!=|<=|>=|!>>|!<<|&>>|&<<|&[<>~]|![<>]|>>|<<|[=<>!~|+\-*/%^,]/y],
  ["bracket", /[{}()]/y],
];

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}

// Tokens with `kind`, `text`, `from`, `to`, without gaps.
export function tokenize(text) {
  const tokens = [];
  let at = 0;
  while (at < text.length) {
    const token = attributeAt(text, at) ?? otherAt(text, at);
    tokens.push({ ...token, from: at, to: at + token.text.length });
    at += token.text.length;
  }
  return tokens;
}

function attributeAt(text, at) {
  const opener = match(OPENER, text, at);
  if (opener === "" || (opener === "." && /\d/.test(text[at + 1] ?? ""))) return undefined;
  return { kind: "attribute", text: opener + match(NAME, text, at + opener.length) };
}

function otherAt(text, at) {
  for (const [kind, pattern] of PATTERNS) {
    const found = match(pattern, text, at);
    if (found !== "") return { kind: kind === "word" ? wordKind(found) : kind, text: found };
  }
  return { kind: "unknown", text: String.fromCodePoint(text.codePointAt(at)) };
}

function wordKind(word) {
  if (FUNCTIONS.has(word)) return "function";
  return CONSTANTS.has(word) ? "constant" : "intrinsic";
}

// A text as a TraceQL string.
export function quote(text) {
  const escapes = { "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\" };
  return `"${text.replace(/["\\\n\r\t]/g, (character) => escapes[character])}"`;
}

// What a string token stands for.
export function unquote(token) {
  if (token.startsWith("`")) return token.slice(1).replace(/`$/, "");
  const inner = token.slice(1).replace(/(?<!\\)((?:\\\\)*)"$/, "$1");
  const escapes = { n: "\n", r: "\r", t: "\t" };
  return inner.replace(/\\(.)/g, (_, character) => escapes[character] ?? character);
}

// An attribute with its scope, quoted where its key has characters that end a name.
export function attributeName(scope, key) {
  const plain = key !== "" && !/[\s{}()=~!<>&|^,"\\]/.test(key);
  return `${scope}.${plain ? key : quote(key)}`;
}

// A typed value, as the tag endpoints give it, as a literal.
export function literal({ type, value }) {
  return type === "string" ? quote(value) : value;
}
