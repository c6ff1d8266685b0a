// Places for the service map: callers left of who they call, in layers; within a layer near the middle of their neighbours.
// A call that skips layers gets a narrow lane in each of them, so that its arrow does not run behind boxes.

export const SIZE = { width: 168, height: 56, gapX: 92, gapY: 26, lane: 6 };
const SWEEPS = 8;

// Nodes with `x`, `y` (top left), the size of the whole, and edges with `path`: the curve `d`, and where a label may stand.
export function place(nodes, edges, size = SIZE) {
  const layers = layersOf(nodes.map(({ name }) => name), edges);
  const { lanes, links } = lanesOf(layers, edges);
  const isLane = new Set([...lanes.values()].flat());
  const columns = arrangeColumns(new Map([...layers, ...laneLayers(lanes, layers, edges)]), links);
  const heightOf = (name) => (isLane.has(name) ? size.lane : size.height);
  const at = coordinates(columns, heightOf, size);
  const placed = edges.map((edge, number) => ({ ...edge, path: pathOf(edge, lanes.get(number).map((name) => at.get(name)), at, size) }));
  return {
    nodes: nodes.map((node) => ({ ...node, ...at.get(node.name) })),
    edges: placed,
    width: Math.max(1, columns.length) * (size.width + size.gapX) - size.gapX,
    height: Math.max(...[...at].map(([name, { y }]) => y + heightOf(name)), ...placed.map(({ path }) => path.low)),
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

// The lanes of each edge by its number, and the pairs of neighbours that result.
function lanesOf(layers, edges) {
  const lanes = new Map();
  const links = [];
  edges.forEach(({ client, server }, number) => {
    const own = [];
    for (let layer = layers.get(client) + 1; layer < layers.get(server); layer++) own.push(`lane ${number} ${layer}`);
    lanes.set(number, own);
    const chain = [client, ...own, server];
    for (let at = 1; at < chain.length; at++) links.push({ client: chain[at - 1], server: chain[at] });
  });
  return { lanes, links };
}

function laneLayers(lanes, layers, edges) {
  return [...lanes].flatMap(([number, own]) => own.map((name, at) => [name, layers.get(edges[number].client) + 1 + at]));
}

function arrangeColumns(layers, links) {
  const columns = [];
  for (const [name, layer] of layers) (columns[layer] ??= []).push(name);
  const neighbours = new Map([...layers.keys()].map((name) => [name, []]));
  for (const { client, server } of links) {
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

function coordinates(columns, heightOf, { width, gapX, gapY }) {
  const heights = columns.map((column) => column.reduce((sum, name) => sum + heightOf(name) + gapY, -gapY));
  const tallest = Math.max(...heights);
  const at = new Map();
  columns.forEach((column, layer) => {
    let y = (tallest - heights[layer]) / 2;
    for (const name of column) {
      at.set(name, { x: layer * (width + gapX), y });
      y += heightOf(name) + gapY;
    }
  });
  return at;
}

// From the right side of the caller through its lanes to the left side of the called; calls back go around below.
function pathOf({ client, server }, lanes, at, size) {
  const [from, to] = [at.get(client), at.get(server)];
  if (to.x <= from.x) return backwards(from, to, size);
  const middle = ({ y }) => y + size.height / 2;
  let [x, y] = [from.x + size.width, middle(from)];
  let d = `M${x},${y}`;
  const bend = (toX, toY) => {
    const half = (toX - x) / 2;
    d += ` C${x + half},${y} ${toX - half},${toY} ${toX},${toY}`;
    [x, y] = [toX, toY];
  };
  for (const lane of lanes) {
    bend(lane.x, lane.y + size.lane / 2);
    x += size.width;
    d += ` L${x},${y}`;
  }
  const label = lanes.length > 0 ? { x: lanes[0].x + size.width / 2, y: lanes[0].y + size.lane / 2 } : { x: (x + to.x) / 2, y: (y + middle(to)) / 2 };
  bend(to.x, middle(to));
  return { d, ...label, low: 0 };
}

function backwards(from, to, { width, height }) {
  const [startX, startY, endX, endY] = [from.x + width / 2, from.y + height, to.x + width / 2, to.y + height];
  const low = Math.max(startY, endY) + 40;
  return { d: `M${startX},${startY} C${startX},${low} ${endX},${low} ${endX},${endY}`, x: (startX + endX) / 2, y: low - 12, low: low - 10 };
}
