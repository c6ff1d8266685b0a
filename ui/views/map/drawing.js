// The map as a drawing: boxes and arrows. Widths of arrows say how often, red how many fail.

import { html } from "../../components/html.js";
import { duration, percent, rate } from "../../model/format.js";
import { SIZE } from "../../model/graph_layout.js";

const MARGIN = 16;
const NAME_LETTERS = 19;
// From this share of failed calls on, a service or call is drawn in red.
const FAILING = 0.05;

export function Drawing({ drawing, hues, chosen, onChoose }) {
  const most = Math.max(...drawing.edges.map((edge) => edge.rate));
  const view = `${-MARGIN} ${-MARGIN} ${drawing.width + 2 * MARGIN} ${drawing.height + 2 * MARGIN}`;
  const isNear = (edge) => chosen === undefined || edge.client === chosen || edge.server === chosen;
  return html`
    <svg class="map" viewBox=${view} width=${drawing.width + 2 * MARGIN} role="group" aria-label="Service map">
      <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 8,4 0,8z" /></marker></defs>
      ${drawing.edges.map((edge) => html`<${Edge} key=${`${edge.client} ${edge.server} ${edge.type}`} edge=${edge} most=${most} isNear=${isNear(edge)} />`)}
      ${drawing.nodes.map((node) => html`<${Node} key=${node.name} node=${node} hue=${hues.get(node.name)} isChosen=${node.name === chosen} isNear=${chosen === undefined || node.name === chosen || drawing.edges.some((edge) => isNear(edge) && (edge.client === node.name || edge.server === node.name))} onChoose=${onChoose} />`)}
    </svg>
  `;
}

function Edge({ edge, most, isNear }) {
  const share = edge.errors / edge.rate;
  const title = `${edge.client} → ${edge.server}: ${rate(edge.rate)}/s, ${percent(share)} failed, p95 ${duration(edge.p95 * 1e9)}`;
  return html`
    <g class=${`edge${share >= FAILING ? " edge-failing" : ""}${isNear ? "" : " far"}`}>
      <path d=${edge.path.d} stroke-width=${1.2 + 2.8 * Math.sqrt(edge.rate / most)} marker-end="url(#arrow)"><title>${title}</title></path>
      <text x=${edge.path.x} y=${edge.path.y - 5}>${rate(edge.rate)}/s</text>
    </g>
  `;
}

function Node({ node, hue, isChosen, isNear, onChoose }) {
  const share = node.in > 0 ? node.errors / node.in : 0;
  const name = node.name.length > NAME_LETTERS ? `${node.name.slice(0, NAME_LETTERS - 1)}…` : node.name;
  const facts = node.in > 0 ? `${rate(node.in)}/s · ${percent(share)} · ${duration(node.p95 * 1e9)}` : `sends ${rate(node.out)}/s`;
  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onChoose(node.name);
  };
  return html`
    <g class=${`node${isChosen ? " chosen" : ""}${isNear ? "" : " far"}${share >= FAILING ? " node-failing" : ""}${node.type === "" ? "" : " virtual"}`} transform=${`translate(${node.x},${node.y})`} style=${{ "--hue": hue }}
      tabindex="0" role="button" aria-pressed=${isChosen} aria-label=${`${node.name}, ${facts}`} onClick=${() => onChoose(node.name)} onKeyDown=${press}>
      <title>${node.name}</title>
      <rect class="node-box" width=${SIZE.width} height=${SIZE.height} rx="9" />
      <rect class="node-mark" x="0" y="10" width="4" height=${SIZE.height - 20} rx="2" />
      <text class="node-name" x="14" y="23">${name}</text>
      <text class="node-facts" x="14" y="42">${facts}</text>
    </g>
  `;
}
