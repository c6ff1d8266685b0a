import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ui = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../ui");

function importsOf(file) {
  const text = readFileSync(path.join(ui, file), "utf8");
  const found = [...text.matchAll(/^(?:import|export)\b[^;]*?from ?"([^"]+)"/gm)].map((match) => match[1]);
  return found.map((name) => path.posix.join(path.posix.dirname(file), name));
}

function closure(file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const imported of importsOf(file)) closure(imported, seen);
  return seen;
}

test("the start page names all it needs, so that nothing is found only after something else has come", () => {
  const preloaded = [...readFileSync(path.join(ui, "index.html"), "utf8").matchAll(/modulepreload" href="ui\/@VERSION@\/([^"]+)"/g)].map((match) => match[1]);
  const needed = [...closure("main.js")].filter((file) => file !== "main.js").sort();
  assert.deepEqual(preloaded, needed);
  assert.ok(needed.includes("vendor/preact.js") && !needed.some((file) => file.startsWith("views/trace")));
});
