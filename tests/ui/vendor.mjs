// Holds ui/vendor/ against the tarballs of npm (see ui/vendor/README.md):
//
//   node tests/ui/vendor.mjs            compares
//   node tests/ui/vendor.mjs --write    writes the files and SHA256SUMS

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const vendor = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../ui/vendor");
const isWriting = process.argv.includes("--write");

// The checksums are npm's own (`npm view NAME@VERSION dist.integrity`), written down when the version was chosen.
const PACKAGES = [
  { name: "preact", version: "11.2.0", integrity: "sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==", files: { "dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "preact-hooks.js", LICENSE: "LICENSE.preact" } },
  { name: "htm", version: "3.1.1", integrity: "sha512-983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==", files: { "dist/htm.module.js": "htm.js", LICENSE: "LICENSE.htm" } },
  { name: "uplot", version: "1.6.32", integrity: "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==", files: { "dist/uPlot.esm.js": "uplot.js", "dist/uPlot.min.css": "uplot.css", LICENSE: "LICENSE.uplot" } },
];

function edited(text) {
  return text.replace(/^\/\/# sourceMappingURL=.*$/gm, "").replaceAll('from"preact"', 'from"./preact.js"');
}

function unpack({ name, version, integrity }, directory) {
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", `${name}@${version}`], { cwd: directory, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  const tarball = path.join(directory, filename);
  const found = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
  if (found !== integrity) throw new Error(`${name}@${version}: the tarball's checksum is ${found}`);
  execFileSync("tar", ["xzf", tarball, "-C", directory]);
  return path.join(directory, "package");
}

let differences = 0;
const sums = [];
for (const entry of PACKAGES) {
  const directory = mkdtempSync(path.join(os.tmpdir(), "vendor-"));
  const from = unpack(entry, directory);
  for (const [source, target] of Object.entries(entry.files)) {
    const text = edited(readFileSync(path.join(from, source), "utf8"));
    sums.push([target, createHash("sha256").update(text).digest("hex")]);
    if (isWriting) writeFileSync(path.join(vendor, target), text);
    else if (readFileSync(path.join(vendor, target), "utf8") !== text) {
      differences++;
      console.error(`${target} is not ${entry.name}@${entry.version} ${source}`);
    }
  }
  rmSync(directory, { recursive: true });
}
const list = sums.sort().map(([file, sum]) => `${sum}  ${file}\n`).join("");
if (isWriting) writeFileSync(path.join(vendor, "SHA256SUMS"), list);
else if (readFileSync(path.join(vendor, "SHA256SUMS"), "utf8") !== list) {
  differences++;
  console.error("SHA256SUMS differs");
}
console.log(differences === 0 ? "ui/vendor is what npm gives out" : `${differences} differences`);
process.exitCode = differences === 0 ? 0 : 1;
