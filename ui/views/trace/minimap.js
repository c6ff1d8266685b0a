// The whole trace in a strip; drag over it to look at a part.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../components/html.js";

const HEIGHT = 54;
// More lines than this cannot be told apart, and cost time.
const MOST_LINES = 3000;

export function Minimap({ trace, hues, view, onView }) {
  const box = useRef(null);
  const canvas = useRef(null);
  const [drag, setDrag] = useState(undefined);
  useLayoutEffect(() => paint(canvas.current, trace, hues), [trace, hues]);
  useEffect(() => {
    const again = () => canvas.current !== null && paint(canvas.current, trace, hues);
    const observer = new ResizeObserver(again);
    observer.observe(canvas.current);
    window.addEventListener("conmoto-theme", again);
    return () => {
      observer.disconnect();
      window.removeEventListener("conmoto-theme", again);
    };
  }, [trace, hues]);

  const timeAt = (event) => {
    const { left, width } = box.current.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - left) / width)) * trace.duration;
  };
  const down = (event) => {
    box.current.setPointerCapture(event.pointerId);
    setDrag({ from: timeAt(event), to: timeAt(event) });
  };
  const move = (event) => drag !== undefined && setDrag({ ...drag, to: timeAt(event) });
  const up = () => {
    if (drag === undefined) return;
    const [from, to] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
    // A click without a drag is not a choice.
    if (to - from > trace.duration / 200) onView({ from, to });
    setDrag(undefined);
  };
  const shown = drag ?? view;
  const share = (time) => (trace.duration > 0 ? (time / trace.duration) * 100 : 0);
  const [from, to] = [Math.min(shown.from, shown.to), Math.max(shown.from, shown.to)];
  return html`
    <div class="minimap" ref=${box} onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onDblClick=${() => onView({ from: 0, to: trace.duration })} title="Drag to look at a part, double click for all" aria-hidden="true">
      <canvas ref=${canvas}></canvas>
      <i class="veil" style=${{ left: 0, width: `${share(from)}%` }}></i>
      <i class="veil" style=${{ left: `${share(to)}%`, right: 0 }}></i>
    </div>
  `;
}

function paint(canvas, trace, hues) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  canvas.width = width * ratio;
  canvas.height = HEIGHT * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const colours = trace.services.map((name) => `oklch(${style.getPropertyValue("--service-l")} ${style.getPropertyValue("--service-c")} ${hues.get(name)})`);
  const step = Math.max(1, Math.ceil(trace.count / MOST_LINES));
  const lines = Math.ceil(trace.count / step);
  const thickness = Math.max(1, Math.min(5, (HEIGHT - 4) / lines - 0.5));
  for (let row = 0; row < trace.count; row += step) {
    const y = 2 + (row / trace.count) * (HEIGHT - 4);
    const x = (trace.start[row] / (trace.duration || 1)) * width;
    context.fillStyle = colours[trace.service[row]];
    context.fillRect(x, y, Math.max(1, ((trace.end[row] - trace.start[row]) / (trace.duration || 1)) * width), thickness);
  }
}
