// Serves ui/ from disk and passes everything else on to a running server, so that a change needs no build:
//
//   node tests/ui/dev.mjs [port] [server]     (defaults: 3300 http://localhost:3200)

import http from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../ui");
const port = Number(process.argv[2] ?? 3300);
const server = new URL(process.argv[3] ?? "http://localhost:3200");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
// The policy of src/api/page/mod.rs, so that what it forbids is noticed here, too.
const POLICY = (await readFile(path.join(root, "../src/api/page/mod.rs"), "utf8")).match(/POLICY: &str = "([^;]+;[^"]*)"/)[1].replace(/\\\n\s*/g, "");

async function file(name) {
  const bytes = await readFile(path.join(root, name));
  if (name !== "index.html") return bytes;
  const values = { VERSION: "dev", RELEASE: "dev", API_PREFIX: "", MULTITENANCY: "false" };
  return bytes.toString().replace(/@(\w+)@/g, (_, key) => values[key]);
}

function pass(request, response) {
  const { host, ...headers } = request.headers;
  const passed = http.request({ host: server.hostname, port: server.port, path: request.url, method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  passed.on("error", (error) => response.writeHead(502).end(String(error)));
  response.on("close", () => passed.destroy());
  request.pipe(passed);
}

http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const name = pathname === "/" ? "index.html" : pathname.match(/^\/ui\/dev\/(.+)$/)?.[1];
  if (name === undefined || name.includes("..")) return pass(request, response);
  try {
    const bytes = await file(name);
    response.writeHead(200, { "content-type": TYPES[path.extname(name)] ?? "text/plain", "cache-control": "no-store", "content-security-policy": POLICY }).end(bytes);
  } catch {
    response.writeHead(404).end("404 page not found\n");
  }
}).listen(port, "127.0.0.1", () => console.log(`http://localhost:${port}/ for ${server.href}`));
