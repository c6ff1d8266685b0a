// The flame graph of a trace: spans with the same path of services and names are one box. A box is as wide as the time
// spent in it and below it, each moment counted where it was spent (self time), so boxes never outgrow their parent, also
// where children ran side by side.

export function flame(trace) {
  const root = box("", -1, -1);
  const boxOf = new Array(trace.count);
  for (let row = 0; row < trace.count; row++) {
    const parent = trace.parent[row] < 0 ? root : boxOf[trace.parent[row]];
    const key = `${trace.service[row]} ${trace.name[row]}`;
    let own = parent.children.get(key);
    if (own === undefined) {
      own = box(key, trace.service[row], trace.name[row]);
      parent.children.set(key, own);
    }
    own.count++;
    own.self += trace.self[row];
    own.errors += trace.isError[row];
    own.firstRow = own.firstRow < 0 ? row : own.firstRow;
    boxOf[row] = own;
  }
  addUp(root);
  return root;
}

function box(key, service, name) {
  return { key, service, name, count: 0, self: 0, total: 0, errors: 0, firstRow: -1, children: new Map() };
}

// Totals from the leaves up, without recursion.
function addUp(root) {
  const order = [root];
  for (let i = 0; i < order.length; i++) order.push(...order[i].children.values());
  for (const own of order.reverse()) {
    own.total = own.self;
    for (const child of own.children.values()) own.total += child.total;
  }
}

// Boxes to draw, with `left` and `width` in shares of 1 and `depth`; those narrower than `least` are left out with all below.
export function layout(top, least = 0.0008) {
  const boxes = [];
  const total = top.total || 1;
  const waiting = [{ own: top, left: 0, depth: 0 }];
  while (waiting.length > 0) {
    const { own, left, depth } = waiting.pop();
    const width = own.total / total;
    if (width < least) continue;
    boxes.push({ box: own, left, width, depth });
    let at = left;
    for (const child of [...own.children.values()].sort((a, b) => b.total - a.total)) {
      waiting.push({ own: child, left: at, depth: depth + 1 });
      at += child.total / total;
    }
  }
  return boxes;
}
