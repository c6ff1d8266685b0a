// A server with a directory of its own, a browser, and what tests ask of a page.

import { spawn } from "node:child_process";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";

const { chromium } = createRequire(path.join(process.env.UI_MODULES, "package.json"))("playwright-core");
export const ARTEFACTS = process.env.UI_ARTEFACTS;

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function until(what, check, millis = 20000) {
  const deadline = Date.now() + millis;
  for (;;) {
    const found = await check().catch(() => undefined);
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`no ${what} in ${millis} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// `demo` feeds the shop's traces. Traces may be large: the pages are tried with 100,000 spans.
export async function startServer({ demo = false, multitenancy = false, prefix = "" } = {}) {
  const directory = await mkdtemp(path.join(os.tmpdir(), "conmoto-ui-"));
  const [http, grpc, otlp, otlpHttp] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const config = `multitenancy_enabled: ${multitenancy}
server: {http_listen_address: 127.0.0.1, http_listen_port: ${http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: ${grpc}, http_path_prefix: "${prefix}"}
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:${otlp}"}, http: {endpoint: "127.0.0.1:${otlpHttp}"}}}}}
overrides: {defaults: {global: {max_bytes_per_trace: 100000000}}}
`;
  await writeFile(path.join(directory, "config.yaml"), config);
  const child = spawn(process.env.UI_BINARY, [...(demo ? ["demo"] : []), "-config.file", path.join(directory, "config.yaml"), "-data.dir", directory], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.on("data", (data) => (log += data));
  const url = `http://127.0.0.1:${http}${prefix}`;
  await until("ready server", async () => child.exitCode !== null || (await fetch(`${url}/ready`)).ok);
  if (child.exitCode !== null) throw new Error(`the server ended: ${log}`);
  const proxy = process.env.UI_FROM_DISK && prefix === "" && !multitenancy ? await startProxy(url) : undefined;
  return {
    url: proxy?.url ?? url,
    push: (batches, headers = {}) => push(`http://127.0.0.1:${otlpHttp}/v1/traces`, batches, headers),
    stop: async () => {
      proxy?.child.kill();
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
      await rm(directory, { recursive: true });
    },
  };
}

// With UI_FROM_DISK=1 the page is the one on disk, not the one in the binary: changes are tried without a build.
async function startProxy(server) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(process.execPath, [new URL("../dev.mjs", import.meta.url).pathname, port, server], { stdio: "ignore" });
  await until("proxy", async () => (await fetch(`${url}/ready`)).ok);
  return { url, child };
}

async function push(url, resourceSpans, headers) {
  const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify({ resourceSpans }) });
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
}

export async function startBrowser() {
  return chromium.launch({ executablePath: process.env.UI_CHROMIUM, args: ["--no-sandbox"] });
}

// A page that fails its test when anything goes wrong in it: an exception, a broken policy, a request elsewhere, an alert.
export async function openPage(browser, { width = 1280, height = 800, scheme = "light", expect = [] } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, permissions: ["clipboard-read", "clipboard-write"], serviceWorkers: "block" });
  const page = await context.newPage();
  const problems = [];
  const note = (text) => expect.some((pattern) => pattern.test(text)) || problems.push(text);
  page.on("pageerror", (error) => note(`exception: ${error.stack}`));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && note(`console: ${message.text()} ${message.location().url}`));
  page.on("dialog", (dialog) => (note(`dialog: ${dialog.message()}`), dialog.dismiss()));
  page.on("request", (request) => new URL(request.url()).hostname === "127.0.0.1" || note(`request to ${request.url()}`));
  page.problems = problems;
  page.shot = async (name) => {
    await mkdir(ARTEFACTS, { recursive: true });
    await page.screenshot({ path: path.join(ARTEFACTS, `${name}.png`) });
  };
  page.done = async () => {
    await context.close();
    if (problems.length > 0) throw new Error(`the page complained:\n${problems.join("\n")}`);
  };
  return page;
}
