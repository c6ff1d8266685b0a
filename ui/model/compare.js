// Two traces side by side: spans with the same path of services and names are one row, with what each trace has of it.

export function compare(first, second) {
  const root = node("", "", -1);
  add(root, first, "first");
  add(root, second, "second");
  return flatten(root);
}

function node(service, name, depth) {
  return { service, name, depth, first: side(), second: side(), children: new Map() };
}

function side() {
  return { count: 0, errors: 0, total: 0, self: 0, start: Infinity, end: 0, row: -1 };
}

function add(root, trace, which) {
  const nodeOf = new Array(trace.count);
  for (let row = 0; row < trace.count; row++) {
    const parent = trace.parent[row] < 0 ? root : nodeOf[trace.parent[row]];
    const [service, name] = [trace.services[trace.service[row]], trace.names[trace.name[row]]];
    const key = `${service}\n${name}`;
    if (!parent.children.has(key)) parent.children.set(key, node(service, name, parent.depth + 1));
    const own = parent.children.get(key);
    count(own[which], trace, row);
    nodeOf[row] = own;
  }
}

function count(side, trace, row) {
  side.count++;
  side.errors += trace.isError[row];
  side.total += trace.end[row] - trace.start[row];
  side.self += trace.self[row];
  side.start = Math.min(side.start, trace.start[row]);
  side.end = Math.max(side.end, trace.end[row]);
  if (side.row < 0) side.row = row;
}

// Depth-first, in the order in which either trace starts them.
function flatten(root) {
  const rows = [];
  const waiting = [...inOrder(root)].reverse();
  while (waiting.length > 0) {
    const own = waiting.pop();
    rows.push({ ...own, change: changeOf(own), children: undefined });
    waiting.push(...inOrder(own).reverse());
  }
  return rows;
}

function inOrder(parent) {
  const start = (own) => Math.min(own.first.start, own.second.start);
  return [...parent.children.values()].sort((a, b) => start(a) - start(b));
}

function changeOf({ first, second }) {
  if (first.count === 0) return "added";
  if (second.count === 0) return "removed";
  const isDifferent = first.count !== second.count || first.errors !== second.errors;
  const longer = Math.max(first.total, second.total);
  const isMuch = longer > 0 && Math.abs(second.total - first.total) / longer > 0.2;
  return isDifferent ? "changed" : isMuch ? (second.total > first.total ? "slower" : "faster") : "same";
}
