// Each page, used as a person would.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, startBrowser, startServer, until } from "./harness.mjs";
import { batch, spanId } from "./data.mjs";

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([startServer({ demo: true }), startBrowser()]);
  await until("demo traces", async () => (await (await fetch(`${server.url}/api/search?q=%7Bname%3D%22POST%20%2Fcheckout%22%7D&limit=5`)).json()).traces.length >= 2);
});
after(async () => {
  await browser.close();
  await server.stop();
});

const open = async (hash = "", options) => {
  const page = await openPage(browser, options);
  await page.goto(`${server.url}/${hash}`);
  return page;
};

test("search: completion, an error at its place, results, columns, a link that holds all", async () => {
  // Unfinished queries are refused with 400, which browsers write into the console.
  const page = await open("", { expect: [/status of 400/] });
  await page.waitForSelector(".found tbody tr");
  await page.keyboard.press("/");
  await page.keyboard.type("{ resource.service.na");
  await page.waitForSelector(".completion [role=option] >> text=resource.service.name");
  await page.keyboard.press("Tab");
  await page.keyboard.type("= ");
  await page.waitForSelector(".completion li:has-text('checkout')");
  await page.shot("search-completion");
  await page.keyboard.type('"checkout" && status = eror }');
  await page.waitForSelector(".t-wrong");
  assert.match(await page.textContent(".editor-problem"), /eror/);
  await page.shot("search-error");
  for (let i = 0; i < 6; i++) await page.keyboard.press("Backspace");
  await page.keyboard.type("= ok");
  await page.fill("textarea", '{ resource.service.name = "checkout" && name = "POST /orders" }');
  await page.keyboard.press("Control+Enter");
  await page.waitForFunction(() => document.querySelector(".results-count")?.textContent.includes("traces in"));
  await page.click("text=Column");
  await page.fill("[aria-label='Attribute of the column']", "http.route");
  await page.click(".column-choice li >> nth=0");
  await page.waitForSelector(".value-cell >> text=/orders");
  await page.shot("search");
  const url = page.url();
  const other = await openPage(browser);
  await other.goto(url);
  await other.waitForSelector(".value-cell >> text=/orders");
  assert.equal(await other.inputValue("textarea"), '{ resource.service.name = "checkout" && name = "POST /orders" }');
  await other.done();
  await page.done();
});

test("the form writes the query, the query fills the form", async () => {
  const page = await open("", { expect: [/status of 400/] });
  await page.waitForSelector(".found tbody tr");
  await page.fill(".form label:has-text('Service') input", "payment");
  await page.click(".segments >> text=Error");
  await page.fill(".form label:has-text('At least') input", "1ms");
  await page.fill(".attribute-row:last-child [aria-label=Attribute]", "span.rpc.system");
  await page.fill(".attribute-row:last-child [aria-label=Value]", "grpc");
  await page.keyboard.press("Tab");
  const written = '{ resource.service.name = "payment" && status = error && duration >= 1ms && span.rpc.system = "grpc" }';
  await page.waitForFunction((wanted) => document.querySelector("textarea").value === wanted, written, { timeout: 5000 }).catch(async () => assert.equal(await page.inputValue("textarea"), written));
  assert.deepEqual([await page.locator(".attribute-row").count(), await page.inputValue(".attribute-row:last-child [aria-label=Value]")], [2, ""], "a new empty row");
  await page.click(".form >> text=Search");
  await page.waitForFunction(() => /trace|No trace/.test(document.querySelector(".results")?.textContent ?? ""));
  await page.fill("textarea", "{ status = ok } >> { }");
  await page.waitForSelector(".form >> text=says more than the form");
  await page.fill("textarea", '{ name = "GET /" }');
  assert.equal(await page.inputValue(".form label:has-text('Span name') input"), "GET /");
  await page.done();
});

test("a metrics query is plotted", async () => {
  const page = await open(`#/search?last=15m&q=${encodeURIComponent("{ } | rate() by (resource.service.name)")}`);
  await page.waitForSelector(".plot canvas");
  assert.ok((await page.textContent(".legend")).includes("frontend"));
  await page.waitForTimeout(300);
  await page.shot("search-metrics");
  await page.done();
});

async function checkoutId() {
  const { traces } = await (await fetch(`${server.url}/api/search?q=${encodeURIComponent('{ name = "POST /checkout" }')}&limit=2`)).json();
  return traces.map(({ traceID }) => traceID);
}

test("trace: waterfall, keys, details, copy, find, flame graph, statistics", async () => {
  const [id] = await checkoutId();
  const page = await open(`#/trace/${id}`);
  await page.waitForSelector(".row");
  const rows = await page.locator(".row").count();
  assert.ok(await page.locator(".critical").count() > 0);
  await page.keyboard.press("j");
  await page.keyboard.press("h");
  await until("collapsed rows", async () => (await page.locator(".row").count()) === 1);
  await page.keyboard.press("l");
  await until("expanded rows", async () => (await page.locator(".row").count()) === rows);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".details .pairs");
  await page.click(".details .pairs .copy >> nth=0");
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, await page.textContent(".details .pairs .value >> nth=0"));
  await page.shot("trace");
  const linked = await openPage(browser);
  await linked.goto(page.url());
  await linked.waitForSelector(".row.selected");
  await linked.waitForSelector(".details .pairs");
  await linked.done();
  await page.keyboard.press("Escape");
  await page.fill("[aria-label='Find in this trace']", "payment");
  await page.waitForFunction(() => /\/ \d+/.test(document.querySelector(".find-state").textContent));
  await page.keyboard.press("Enter");
  assert.ok(await page.locator(".row.match").count() > 0);
  await page.check("text=Only matches");
  assert.ok((await page.locator(".row").count()) < rows);
  await page.shot("trace-find");
  await page.uncheck("text=Only matches");
  await page.click("[role=tab] >> text=Flame graph");
  await page.waitForSelector(".flame-box >> nth=3");
  await page.hover(".flame-box >> nth=3");
  await page.shot("trace-flame");
  await page.click(".flame-box >> nth=2");
  await page.click("text=Whole trace");
  await page.click("[role=tab] >> text=Statistics");
  await page.waitForSelector(".statistics tbody tr");
  await page.selectOption(".results-line select", "service");
  await page.shot("trace-statistics");
  await page.done();
});

test("the minimap zooms", async () => {
  const [id] = await checkoutId();
  const page = await open(`#/trace/${id}`);
  await page.waitForSelector(".row");
  const box = await page.locator(".minimap").boundingBox();
  await page.mouse.move(box.x + box.width * 0.25, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await page.click("text=Whole trace");
  await page.waitForSelector("text=Whole trace", { state: "detached" });
  await page.done();
});

test("links lead to other traces", async () => {
  const now = BigInt(Date.now()) * 1000000n;
  const one = { traceId: "1".repeat(32), spanId: spanId(1), name: "producer", kind: 4, startTimeUnixNano: String(now), endTimeUnixNano: String(now + 1000n) };
  await server.push([batch("linked", [one, { ...one, traceId: "2".repeat(32), name: "consumer", kind: 5, links: [{ traceId: "1".repeat(32), spanId: spanId(1) }] }])]);
  const page = await open(`#/trace/${"2".repeat(32)}`);
  await page.click(".row");
  await page.click(".links a");
  await page.waitForSelector(".trace-head h1 >> text=producer");
  await page.waitForSelector(".row.selected");
  await page.done();
});

test("two picked traces are compared", async () => {
  const page = await open(`#/search?q=${encodeURIComponent('{ name = "POST /checkout" }')}`);
  await page.waitForSelector(".found tbody tr >> nth=1");
  await page.check("[aria-label='Compare this trace'] >> nth=0");
  await page.check("[aria-label='Compare this trace'] >> nth=1");
  await page.click("text=Compare the two");
  await page.waitForSelector(".compare-row >> nth=5");
  await page.shot("compare");
  await page.done();
});

test("overview: curves, and a click on a point leads to its traces", async () => {
  const page = await open("#/overview?last=15m");
  await page.waitForSelector(".plot .u-over >> nth=2");
  await page.waitForSelector(".services tbody tr >> text=frontend");
  await page.waitForTimeout(400);
  await page.shot("overview");
  const box = await page.locator(".plot .u-over >> nth=0").boundingBox();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 20);
  await page.mouse.move(box.x + box.width * 0.72, box.y + 24);
  await page.mouse.down();
  await page.mouse.up();
  await page.waitForSelector(".found tbody tr, .empty");
  assert.match(await page.inputValue("textarea"), /resource\.service\.name = "/);
  await page.goBack();
  await page.click(".services tbody >> text=checkout");
  await page.waitForSelector("text=Duration: p50, p95, p99");
  await page.waitForTimeout(300);
  await page.shot("overview-service");
  await page.done();
});

test("service map: boxes, arrows and a table of calls", async () => {
  // Until the metrics generator is there its address answers 404, which browsers write into the console.
  const page = await open("#/map?last=15m", { expect: [/prometheus/] });
  await page.waitForSelector(".node");
  assert.ok((await page.locator(".edge").count()) >= 5);
  await page.shot("map");
  await page.click(".node:has-text('checkout')");
  await page.waitForSelector(".node.chosen");
  await page.shot("map-service");
  await page.click(".services a >> text=Traces >> nth=0");
  await page.waitForSelector(".found tbody tr");
  await page.done();
});

test("status: figures that move, and the configuration", async () => {
  const page = await open("#/status");
  await page.waitForSelector(".figure-card >> text=Memory of the head");
  await page.waitForSelector(".figure-card >> text=/^[\\d.]+\\/s$/");
  await page.waitForSelector(".plot canvas >> nth=1");
  await page.fill("[aria-label='Find a setting']", "http_listen_port");
  assert.match(await page.textContent(".config"), /^\s*http_listen_port: \d+,$/);
  await page.fill("[aria-label='Find a setting']", "");
  await page.shot("status");
  await page.done();
});

test("theme, help and keys", async () => {
  const page = await open("", { scheme: "dark" });
  await page.waitForSelector(".found tbody tr");
  await page.shot("search-dark");
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await page.click("[aria-label^='Theme']");
  assert.notEqual(await background(), dark);
  await page.reload();
  assert.notEqual(await background(), dark, "the choice is kept");
  await page.keyboard.press("?");
  await page.waitForSelector("dialog[open]");
  await page.shot("help");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog[open]", { state: "detached" });
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  await page.waitForSelector("h1 >> text=Services");
  await page.done();
});

test("a phone's width shows everything without scrolling sideways", async () => {
  const [id, other] = await checkoutId();
  for (const [name, hash] of [["search", ""], ["trace", `#/trace/${id}`], ["overview", "#/overview?last=15m"], ["map", "#/map?last=15m"], ["status", "#/status"], ["compare", `#/compare?a=${id}&b=${other}`]]) {
    const page = await open(hash, { width: 390, height: 844, scheme: name === "trace" ? "dark" : "light", expect: [/prometheus/] });
    await page.waitForSelector(".found tbody tr, .row, .services tbody tr, .figure-card");
    await page.waitForTimeout(400);
    await page.shot(`phone-${name}`);
    const [inner, scroll] = await page.evaluate(() => [innerWidth, Math.max(document.documentElement.scrollWidth, document.querySelector("main").scrollWidth)]);
    assert.ok(scroll <= inner, `${name} is ${scroll} wide`);
    await page.done();
  }
});

test("a click, not a mouse, opens rows: everything can be reached by Tab", async () => {
  const page = await open();
  await page.waitForSelector(".found tbody tr");
  await page.focus(".trace-link >> nth=0");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".row");
  await page.done();
});

test("an unknown trace and a range without traces say what to do", async () => {
  const page = await open(`#/trace/${"9".repeat(32)}`);
  await page.waitForSelector("text=No trace with this id");
  await page.goto(`${server.url}/#/search?from=1600000000000&to=1600003600000`);
  await page.waitForSelector("text=No trace matches in this range");
  await page.shot("nothing-found");
  await page.click("text=Go there");
  await page.waitForSelector(".found tbody tr");
  await page.done();
});
