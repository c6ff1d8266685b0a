// Curves over time, by uPlot: one canvas, a cursor shared by all plots of a page, a click on a point.

import uPlot from "../vendor/uplot.js";
import { moment } from "../model/format.js";
import { html, useEffect, useLayoutEffect, useRef } from "./html.js";

loadStyle();

// `series` is `[{name, hue or colour, values}]`; `onPick({name, time, value})` when a point is clicked.
export function Plot({ times, series, height = 180, format, sync = "time", onPick, label }) {
  const box = useRef(null);
  const plot = useRef(undefined);
  const pick = useRef(onPick);
  pick.current = onPick;
  const shape = series.map(({ name, hue, colour }) => `${name} ${hue ?? colour}`).join("\n");

  useLayoutEffect(() => {
    const make = () => {
      plot.current?.destroy();
      const made = new uPlot(options(box.current, series, height, format, sync), dataOf(times, series), box.current);
      made.over.addEventListener("click", () => picked(made, series, times, pick.current));
      made.over.classList.toggle("clickable", pick.current !== undefined);
      plot.current = made;
    };
    make();
    window.addEventListener("conmoto-theme", make);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", make);
    return () => {
      window.removeEventListener("conmoto-theme", make);
      scheme.removeEventListener("change", make);
      plot.current.destroy();
      plot.current = undefined;
    };
  }, [shape, times, series]);

  useEffect(() => {
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: box.current.clientWidth, height }));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return html`<div class="plot" ref=${box} role="img" aria-label=${label ?? series.map(({ name }) => name).join(", ")}></div>`;
}

const dataOf = (times, series) => [times, ...series.map(({ values }) => values)];

function options(box, series, height, format, sync) {
  const paint = painter(box);
  const axis = { stroke: paint("var(--muted)"), grid: { stroke: paint("var(--line)"), width: 1 }, ticks: { show: false }, font: `11px ${getComputedStyle(box).fontFamily}` };
  return {
    width: box.clientWidth,
    height,
    legend: { show: false },
    padding: [10, 8, 0, 0],
    cursor: { sync: { key: sync }, points: { size: 7 }, focus: { prox: 24 }, drag: { x: false, y: false } },
    focus: { alpha: 0.25 },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [{ ...axis, size: 26, gap: 4, values: clock }, { ...axis, size: 58, values: (_, marks) => marks.map(format) }],
    series: [{}, ...series.map((one) => curve(one, paint))],
    plugins: [tooltip(series, format)],
  };
}

// Times on the axis, on a clock of 24 hours, as exact as their distance needs.
function clock(_, times, __, ___, step) {
  return times.map((time) => {
    const text = moment(time * 1000, Infinity);
    if (step >= 86400) return text.slice(5, 10);
    return step >= 60 ? text.slice(11, 16) : text.slice(11);
  });
}

function curve({ name, hue, colour }, paint) {
  const stroke = paint(colour ?? `oklch(var(--service-l) var(--service-c) ${hue})`);
  return { label: name, stroke, width: 1.6, points: { show: true, size: 4, fill: stroke, filter: alone }, spanGaps: false };
}

// Values without neighbours would not be seen as a line; these are drawn as points.
function alone(plot, series) {
  const values = plot.data[series];
  const isValue = (at) => values[at] !== null && values[at] !== undefined;
  return [...values.keys()].filter((at) => isValue(at) && !isValue(at - 1) && !isValue(at + 1));
}

// A canvas knows no variables of style sheets; an element resolves them.
function painter(box) {
  const probe = document.createElement("i");
  probe.hidden = true;
  box.append(probe);
  return (colour) => {
    probe.style.color = colour;
    return getComputedStyle(probe).color;
  };
}

// The nearest curve and its value, beside the cursor. Text only: names come from spans.
function tooltip(series, format) {
  const box = document.createElement("div");
  box.className = "plot-tip";
  box.hidden = true;
  return {
    hooks: {
      init: (plot) => plot.over.append(box),
      setCursor: (plot) => {
        const nearest = nearestCurve(plot);
        box.hidden = nearest === undefined || !plot.over.matches(":hover");
        if (box.hidden) return;
        const value = plot.data[nearest][plot.cursor.idx];
        box.textContent = `${series[nearest - 1].name}  ${format(value)}  ${new Date(plot.data[0][plot.cursor.idx] * 1000).toLocaleTimeString("en-GB")}`;
        const isLeft = plot.cursor.left > plot.over.clientWidth / 2;
        box.style.transform = `translate(${plot.cursor.left + (isLeft ? -12 : 12)}px, ${Math.max(0, plot.cursor.top - 30)}px) translateX(${isLeft ? -100 : 0}%)`;
      },
    },
  };
}

// The series whose value at the cursor's time is nearest to the cursor on screen.
function nearestCurve(plot) {
  const { idx, top } = plot.cursor;
  if (idx === null || idx === undefined) return undefined;
  let best;
  let least = Infinity;
  for (let at = 1; at < plot.data.length; at++) {
    const value = plot.data[at][idx];
    if (value === null || value === undefined) continue;
    const distance = Math.abs(plot.valToPos(value, "y") - top);
    if (distance < least) [best, least] = [at, distance];
  }
  return best;
}

function picked(plot, series, times, onPick) {
  const nearest = nearestCurve(plot);
  if (nearest === undefined || onPick === undefined) return;
  const { idx } = plot.cursor;
  onPick({ name: series[nearest - 1].name, time: times[idx], value: plot.data[nearest][idx] });
}

// Only pages with plots need the style of plots.
function loadStyle() {
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("../vendor/uplot.css", import.meta.url).href;
  document.head.append(style);
}
