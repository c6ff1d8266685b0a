// What strangers write into spans is text and nothing else; and the page where there is nothing, or where tenants are apart.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, startBrowser, startServer } from "./harness.mjs";
import { EVIL, evilTraces } from "./data.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser.close());

test("scripts in every field of a span are shown as text, on every page", async (t) => {
  const server = await startServer();
  t.after(server.stop);
  await server.push(evilTraces());
  const page = await openPage(browser, { expect: [/prometheus/, /status of 400/] });
  const isClean = async (where) => {
    await page.waitForTimeout(300);
    const [hacked, injected] = await page.evaluate(() => [window.hacked, document.querySelectorAll("#page script, #page img, #page iframe").length]);
    assert.deepEqual([hacked, injected], [undefined, 0], where);
    assert.ok((await page.textContent("main")).includes("<script>"), `the text is there: ${where}`);
  };
  await page.goto(`${server.url}/#/search?columns=span.http.route,name`);
  await page.waitForSelector(".found tbody tr");
  await page.click("[aria-label='Spans that match']");
  await isClean("search");
  await page.focus("textarea");
  await page.keyboard.type("{ resource.service.name = ");
  await page.waitForSelector(".completion li");
  await page.shot("evil-search");
  await isClean("completion");
  await page.goto(`${server.url}/#/trace/${"e".repeat(32)}`);
  await page.click(".row");
  await page.waitForSelector(".details .event");
  await page.shot("evil-trace");
  await isClean("trace");
  await page.click("[aria-label^='Search for this value'] >> nth=0");
  await page.waitForSelector(".found tbody tr");
  await isClean("a value as a condition");
  for (const [where, hash, ready] of [["flame graph", `trace/${"e".repeat(32)}?tab=flame`, ".flame-box"], ["statistics", `trace/${"e".repeat(32)}?tab=statistics`, ".statistics td"], ["compare", `compare?a=${"e".repeat(32)}&b=${"e".repeat(32)}`, ".compare-row"],
    ["overview", "overview", ".services tbody tr"], ["map", "map", ".node"], ["metrics", `search?q=${encodeURIComponent("{} | rate() by (name)")}`, ".legend li"]]) {
    await page.goto(`${server.url}/#/${hash}`);
    await page.waitForSelector(ready);
    if (where === "overview") await page.hover(".plot .u-over");
    await isClean(where);
  }
  await page.goto(`${server.url}/#/search?q=${encodeURIComponent(EVIL)}&last=${encodeURIComponent(EVIL)}&columns=${encodeURIComponent(EVIL)}`);
  await page.waitForSelector(".notice-error");
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  await page.done();
});

test("the policy stops a script that is written into the page", async (t) => {
  const server = await startServer();
  t.after(server.stop);
  const page = await openPage(browser, { expect: [/Content Security Policy/] });
  await page.goto(`${server.url}/`);
  await page.waitForSelector("[data-test=send-spans]");
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.hacked = 1";
    document.body.append(script);
    document.body.insertAdjacentHTML("beforeend", '<img src="data:," onerror="window.hacked = 2">');
  });
  await page.waitForTimeout(200);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  await page.done();
});

test("an empty server says how to send spans, and the command works", async (t) => {
  const server = await startServer();
  t.after(server.stop);
  const page = await openPage(browser, { expect: [/prometheus/] });
  await page.goto(`${server.url}/`);
  await page.waitForSelector("[data-test=send-spans]");
  await page.shot("empty");
  const command = await page.textContent(".command:has-text('curl') pre");
  const body = command.match(/-d '(.*)'$/s)[1];
  await server.push(JSON.parse(body).resourceSpans);
  await page.click("[aria-label='Look again']");
  await page.waitForSelector(".found tbody tr >> text=hello");
  for (const [hash, ready] of [["overview", ".services tbody tr"], ["map", "text=No calls between services"]]) {
    await page.goto(`${server.url}/#/${hash}`);
    await page.waitForSelector(ready);
  }
  await page.done();
});

test("tenants are asked for and kept apart, below a prefix too", async (t) => {
  const server = await startServer({ multitenancy: true, prefix: "/traces" });
  t.after(server.stop);
  await server.push(evilTraces(), { "X-Scope-OrgID": "a" });
  const page = await openPage(browser);
  await page.goto(server.url);
  await page.waitForSelector("text=Which tenant?");
  await page.fill(".empty [aria-label=Tenant]", "b");
  await page.keyboard.press("Enter");
  await page.waitForSelector("[data-test=send-spans]");
  await page.fill("header [aria-label=Tenant]", "a");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".found tbody tr");
  assert.match(page.url(), /\/traces\/#\/.*tenant=a/);
  await page.done();
});
