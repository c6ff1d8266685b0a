// Numbers and moments as people read them.

const UNITS = [[3600e9, "h"], [60e9, "m"], [1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

// A duration in nanoseconds with three significant digits: 1.24 ms, 12.4 s, 2 m 5 s.
export function duration(nanos) {
  if (!Number.isFinite(nanos)) return "–";
  if (nanos === 0) return "0";
  if (nanos < 0) return `−${duration(-nanos)}`;
  if (nanos >= 60e9) return longDuration(nanos);
  const [size, unit] = UNITS.find(([size]) => nanos >= size) ?? [1, "ns"];
  return `${significant(nanos / size)} ${unit}`;
}

function longDuration(nanos) {
  const seconds = Math.round(nanos / 1e9);
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (hours >= 48) return `${significant(hours / 24)} d`;
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} m` : `${hours} h`;
  return rest > 0 ? `${minutes} m ${rest} s` : `${minutes} m`;
}

function significant(value) {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

// A count: 1,234 or 1.2 M.
export function count(value) {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1e9) return `${significant(value / 1e9)} G`;
  if (Math.abs(value) >= 1e6) return `${significant(value / 1e6)} M`;
  return value.toLocaleString("en-GB", { maximumFractionDigits: 0 });
}

// "1 span", "2 spans".
export function counted(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

// Something per second.
export function rate(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (value < 0.01) return value.toPrecision(1);
  return value >= 1e4 ? count(value) : String(Number(value.toPrecision(3)));
}

export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  if (share === 0) return "0 %";
  if (share < 0.001) return "< 0.1 %";
  return `${significant(share * 100)} %`;
}

export function bytes(value) {
  if (!Number.isFinite(value)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${significant(size)} ${units[unit]}`;
}

const two = (value) => String(value).padStart(2, "0");

// A moment in the browser's time zone, with as much of it as the difference to `now` needs.
export function moment(millis, now = Date.now()) {
  const at = new Date(millis);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  if (Number.isFinite(now) && new Date(now).toDateString() === at.toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

// With milliseconds and date, for one that is looked at closely.
export function exactMoment(millis) {
  const at = new Date(millis);
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

// "3 min ago".
export function ago(millis, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - millis) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

// Nanoseconds as text, of 64 bits, to milliseconds.
export function millisOfNanos(nanos) {
  return Number(BigInt(nanos) / 1000n) / 1000;
}
