// A hue for each service: the same wherever and whenever it is shown, and different for those shown together as far as
// there are hues.

// Neighbours in this list look different; red is left to errors.
const HUES = [250, 150, 75, 305, 200, 115, 345, 275, 50];

export function hashOf(text) {
  let hash = 2166136261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return hash >>> 0;
}

// Hues by name. Where two services would get the same one, the second in alphabetical order moves on.
export function huesOf(names) {
  const hues = new Map();
  const taken = new Set();
  for (const name of [...new Set(names)].sort()) {
    let at = hashOf(name) % HUES.length;
    if (taken.size < HUES.length) while (taken.has(at)) at = (at + 1) % HUES.length;
    taken.add(at);
    hues.set(name, HUES[at]);
  }
  return hues;
}
