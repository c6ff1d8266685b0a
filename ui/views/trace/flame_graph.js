// The flame graph: where the time of the trace was spent, by path.

import { html, useMemo, useState } from "../../components/html.js";
import { counted, duration, percent } from "../../model/format.js";
import { flame, layout } from "../../model/flame.js";

const BOX_HEIGHT = 22;

export function FlameGraph({ trace, hues }) {
  const root = useMemo(() => flame(trace), [trace]);
  const [top, setTop] = useState(root);
  const [over, setOver] = useState(undefined);
  const boxes = useMemo(() => layout(top), [top]);
  const depth = Math.max(...boxes.map((box) => box.depth)) + 1;
  const described = over ?? top;
  return html`
    <section class="card flame-card">
      <p class="flame-line">
        <span>${describe(trace, described, root)}</span><span class="spacer"></span>
        ${top !== root && html`<button onClick=${() => setTop(root)}>Whole trace</button>`}
      </p>
      <div class="flame" style=${{ height: `${depth * BOX_HEIGHT}px` }} onMouseLeave=${() => setOver(undefined)}>
        ${boxes.map(({ box, left, width, depth }) => html`<${Box} trace=${trace} box=${box} left=${left} width=${width} depth=${depth} hues=${hues} onOver=${setOver} onZoom=${setTop} />`)}
      </div>
      <p class="muted">Spans on the same path of services and names are one box. A box is as wide as the time spent in it and below it; where calls ran side by side, their times add up.</p>
    </section>
  `;
}

function describe(trace, box, root) {
  if (box === root) return html`<b>All</b> ${duration(root.total)} of work`;
  const share = percent(box.total / (root.total || 1));
  return html`<b>${trace.services[box.service]}</b> ${trace.names[box.name]} · ${counted(box.count, "span")} · ${duration(box.total)} (${share}), ${duration(box.self)} itself${box.errors > 0 && html` · <span class="error-count">${box.errors} failed</span>`}`;
}

function Box({ trace, box, left, width, depth, hues, onOver, onZoom }) {
  const isRoot = box.service < 0;
  const text = isRoot ? "all" : `${trace.services[box.service]} ${trace.names[box.name]}`;
  const style = { left: `${left * 100}%`, width: `${width * 100}%`, top: `${depth * BOX_HEIGHT}px`, "--hue": hues.get(trace.services[box.service]) ?? 250 };
  return html`<button class=${`flame-box${isRoot ? " flame-root" : ""}${box.errors > 0 ? " failed" : ""}`} style=${style} title=${text} onMouseEnter=${() => onOver(box)} onFocus=${() => onOver(box)} onClick=${() => onZoom(box)}>${text}</button>`;
}
