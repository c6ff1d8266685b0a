// Where a trace's time went, by service, by name, or by both.

export const GROUPINGS = ["service and name", "service", "name"];

export function statistics(trace, grouping) {
  const groups = new Map();
  for (let row = 0; row < trace.count; row++) {
    const service = grouping === "name" ? -1 : trace.service[row];
    const name = grouping === "service" ? -1 : trace.name[row];
    const key = `${service} ${name}`;
    const group = groups.get(key) ?? { service, name, durations: [], self: 0, errors: 0, firstRow: row };
    group.durations.push(trace.end[row] - trace.start[row]);
    group.self += trace.self[row];
    group.errors += trace.isError[row];
    groups.set(key, group);
  }
  const all = trace.self.reduce((sum, self) => sum + self, 0) || 1;
  return [...groups.values()].map((group) => summary(trace, group, all));
}

function summary(trace, { service, name, durations, self, errors, firstRow }, all) {
  durations.sort((a, b) => a - b);
  const total = durations.reduce((sum, duration) => sum + duration, 0);
  return {
    service: service < 0 ? "" : trace.services[service],
    name: name < 0 ? "" : trace.names[name],
    count: durations.length,
    errors,
    total,
    self,
    share: self / all,
    mean: total / durations.length,
    p95: durations[Math.ceil(durations.length * 0.95) - 1],
    max: durations.at(-1),
    firstRow,
  };
}
