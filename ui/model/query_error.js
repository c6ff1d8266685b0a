// Where in the query the server found an error: "… parse error at line L, col C: …".

export function locate(message, query) {
  const match = /parse error at line (\d+), col (\d+): ?(.*)/s.exec(message);
  if (match === null) return undefined;
  const lines = query.split("\n");
  const line = Math.min(Number(match[1]), lines.length);
  const before = lines.slice(0, line - 1).reduce((length, text) => length + text.length + 1, 0);
  const from = Math.min(before + Math.max(0, Number(match[2]) - 1), query.length);
  const word = /^(?:\w+|[^\s\w]+)/.exec(query.slice(from))?.[0] ?? "";
  return { from, to: Math.max(from + 1, from + word.length), message: match[3].replace(/^syntax error: /, "") };
}
