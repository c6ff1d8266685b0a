// Status: what the server does, for whoever runs it.

import { html, useEffect, useMemo, useState } from "../../components/html.js";
import { Failure } from "../../components/parts.js";
import { Plot } from "../../components/plot.js";
import { bytes, count, rate } from "../../model/format.js";
import { discarded, figures, leftOutOfMetrics, limitsHit } from "../../model/server_status.js";
import { useAbout, useReadings } from "./use_status.js";

export function StatusView() {
  const { now, before, history, error } = useReadings();
  const about = useAbout();
  useEffect(() => void (document.title = "Status · Conmoto"), []);
  return html`
    <div class="overview">
      <div class="view-line"><h1>Status</h1>
        <span class=${`badge ${error === undefined && about.ready !== false ? "" : "badge-bad"}`} role="status">${error !== undefined ? "no answer" : about.ready === false ? "not ready" : "ready"}</span>
        <span class="muted">${about.build?.version ?? ""}</span></div>
      ${error !== undefined && html`<${Failure} error=${error} />`}
      ${now !== undefined && html`<${Figures} now=${now} before=${before} />`}
      <${Curves} history=${history} />
      ${now !== undefined && html`<${Refused} now=${now} />`}
      <${Config} text=${about.config} />
    </div>
  `;
}

function Figures({ now, before }) {
  return html`
    <div class="figures">${figures(now, before).filter(({ lines }) => lines.length > 0).map(({ title, lines }) => html`
      <section class="card figure-card" key=${title}><h2>${title}</h2>
        <dl>${lines.map(({ label, value, isBad }) => html`<div key=${label} class=${isBad ? "error-count" : ""}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>
      </section>`)}</div>
  `;
}

function Curves({ history }) {
  const times = useMemo(() => history.map(({ at }) => at), [history]);
  const spans = useMemo(() => [{ name: "spans/s", colour: "var(--accent)", values: history.map((point) => point.spans) }], [history]);
  const data = useMemo(() => [{ name: "bytes/s", colour: "var(--accent)", values: history.map((point) => point.bytes) }], [history]);
  if (history.length < 2) return html`<p class="muted">Curves begin when the page has been open for some seconds.</p>`;
  return html`
    <div class="plots two">
      <section class="card plot-card"><h2>Spans received per second</h2><${Plot} times=${times} series=${spans} height=${140} format=${rate} sync="status" /></section>
      <section class="card plot-card"><h2>Data received per second</h2><${Plot} times=${times} series=${data} height=${140} format=${bytes} sync="status" /></section>
    </div>
  `;
}

function Refused({ now }) {
  const lines = [...discarded(now).map(([reason, value]) => [`discarded: ${reason}`, value]), ...limitsHit(now)];
  const leftOut = leftOutOfMetrics(now);
  return html`
    <section class="card figure-card"><h2>Refused and discarded</h2>
      ${lines.length === 0 ? html`<p class="muted">No span was discarded and no limit was hit since the server started.</p>` : html`<dl>${lines.map(([label, value]) => html`<div key=${label} class="error-count"><dt>${label}</dt><dd>${count(value)}</dd></div>`)}</dl>`}
      ${leftOut.length > 0 && html`<p class="muted">Stored, but not counted by the metrics generator:</p><dl>${leftOut.map(([reason, value]) => html`<div key=${reason}><dt>${reason.replaceAll("_", " ")}</dt><dd>${count(value)}</dd></div>`)}</dl>`}
    </section>
  `;
}

function Config({ text }) {
  const [wanted, setWanted] = useState("");
  if (text === undefined) return null;
  const lines = text.split("\n").filter((line) => line.toLowerCase().includes(wanted.toLowerCase()));
  return html`
    <section class="card figure-card"><h2>Configuration in force</h2>
      <input type="search" placeholder="Find a setting" aria-label="Find a setting" value=${wanted} onInput=${(event) => setWanted(event.target.value)} />
      <pre class="config">${lines.join("\n")}</pre>
    </section>
  `;
}
