// Places for the service map: callers left of who they call, in layers; within a layer near the middle of their neighbours.

export const SIZE = { width: 168, height: 56, gapX: 92, gapY: 26 };
const SWEEPS = 8;

// Nodes with `x`, `y` (top left), the size of the whole, and edges with the points of a curve.
export function place(nodes, edges, size = SIZE) {
  const layers = layersOf(nodes.map(({ name }) => name), edges);
  const columns = arrangeColumns(layers, edges);
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const height = rows * (size.height + size.gapY) - size.gapY;
  const at = new Map();
  columns.forEach((column, layer) => {
    const own = column.length * (size.height + size.gapY) - size.gapY;
    column.forEach((name, row) => at.set(name, { x: layer * (size.width + size.gapX), y: (height - own) / 2 + row * (size.height + size.gapY) }));
  });
  return {
    nodes: nodes.map((node) => ({ ...node, ...at.get(node.name) })),
    edges: edges.map((edge) => ({ ...edge, path: curve(at.get(edge.client), at.get(edge.server), size) })),
    width: Math.max(1, columns.length) * (size.width + size.gapX) - size.gapX,
    height,
  };
}

// The layer of each name: one more than its furthest caller's. Edges that close a circle do not count.
export function layersOf(names, edges) {
  const calls = new Map(names.map((name) => [name, []]));
  for (const { client, server } of edges) if (client !== server) calls.get(client).push(server);
  const order = topological(names, calls, edges);
  const rank = new Map(order.map((name, at) => [name, at]));
  const layer = new Map(names.map((name) => [name, 0]));
  for (const name of order) {
    for (const server of calls.get(name)) if (rank.get(server) > rank.get(name)) layer.set(server, Math.max(layer.get(server), layer.get(name) + 1));
  }
  return layer;
}

// Callers before those they call, as far as there are no circles; in a circle who is called least comes first.
function topological(names, calls, edges) {
  const callers = new Map(names.map((name) => [name, 0]));
  for (const { client, server } of edges) if (client !== server) callers.set(server, callers.get(server) + 1);
  const left = new Set([...names].sort());
  const order = [];
  while (left.size > 0) {
    const next = [...left].reduce((best, name) => (callers.get(name) < callers.get(best) ? name : best));
    left.delete(next);
    order.push(next);
    for (const server of calls.get(next)) callers.set(server, callers.get(server) - 1);
  }
  return order;
}

function arrangeColumns(layers, edges) {
  const columns = [];
  for (const [name, layer] of layers) (columns[layer] ??= []).push(name);
  const neighbours = new Map([...layers.keys()].map((name) => [name, []]));
  for (const { client, server } of edges) {
    neighbours.get(client).push(server);
    neighbours.get(server).push(client);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const row = new Map(columns.flatMap((column) => column.map((name, at) => [name, at - column.length / 2])));
    const middle = (name) => {
      const rows = neighbours.get(name).filter((other) => layers.get(other) !== layers.get(name)).map((other) => row.get(other));
      return rows.length === 0 ? row.get(name) : rows.reduce((sum, value) => sum + value, 0) / rows.length;
    };
    for (const column of sweep % 2 === 0 ? columns : [...columns].reverse()) column.sort((a, b) => middle(a) - middle(b) || (a < b ? -1 : 1));
  }
  return columns;
}

// From the right side of the caller to the left side of the called; back edges go around below.
function curve(from, to, { width, height, gapX }) {
  const [x1, y1, x2, y2] = [from.x + width, from.y + height / 2, to.x, to.y + height / 2];
  if (x2 > x1) {
    const bend = Math.min(gapX * 0.7, (x2 - x1) / 2);
    return { d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`, x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
  }
  const [startX, startY, endX, endY] = [from.x + width / 2, from.y + height, to.x + width / 2, to.y + height];
  const low = Math.max(startY, endY) + 36;
  return { d: `M${startX},${startY} C${startX},${low} ${endX},${low} ${endX},${endY}`, x: (startX + endX) / 2, y: low - 8 };
}
