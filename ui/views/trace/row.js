// One span of the waterfall.

import { html } from "../../components/html.js";
import { Icon } from "../../components/icon.js";
import { count, duration } from "../../model/format.js";
import { bar } from "../../model/waterfall.js";

export const ROW_HEIGHT = 28;
const INDENT = 14;
const MOST_INDENT = 16;

export function Row({ trace, row, place, critical, hues, view, isCollapsed, isSelected, isMatch, onToggle, onOpen }) {
  const service = trace.services[trace.service[row]];
  const parent = trace.parent[row];
  const isNewService = parent < 0 || trace.service[parent] !== trace.service[row];
  const states = `${isSelected ? " selected" : ""}${isMatch ? " match" : ""}${trace.isError[row] ? " failed" : ""}`;
  return html`
    <div class=${`row${states}`} id=${`row-${row}`} role="treeitem" aria-level=${trace.depth[row] + 1} aria-selected=${isSelected} aria-expanded=${trace.subtree[row] > 1 ? !isCollapsed : undefined}
      style=${{ top: `${place * ROW_HEIGHT}px`, "--hue": hues.get(service) }} onClick=${() => onOpen(row)}>
      <div class="row-name" style=${{ paddingLeft: `${6 + Math.min(trace.depth[row], MOST_INDENT) * INDENT}px` }}>
        <${Toggle} numBelow=${trace.subtree[row] - 1} isCollapsed=${isCollapsed} onToggle=${() => onToggle(row)} />
        <i class="service-mark"></i>
        ${trace.isError[row] === 1 && html`<span class="row-error" title="Status: error"><${Icon} name="error" /></span>`}
        <span class="row-text" title=${`${service}: ${trace.names[trace.name[row]]}`}>${isNewService && html`<b>${service || "(no service)"}</b> `}${trace.names[trace.name[row]]}</span>
      </div>
      <${Bar} trace=${trace} row=${row} critical=${critical} view=${view} />
    </div>
  `;
}

function Toggle({ numBelow, isCollapsed, onToggle }) {
  if (numBelow === 0) return html`<span class="toggle"></span>`;
  const click = (event) => {
    event.stopPropagation();
    onToggle();
  };
  return html`<button class="toggle" tabindex="-1" aria-label=${isCollapsed ? "Expand" : "Collapse"} onClick=${click}>${isCollapsed ? html`<span class="below">${count(numBelow)}</span>` : html`<${Icon} name="down" />`}</button>`;
}

function Bar({ trace, row, critical, view }) {
  const { left, width, isInside } = bar(trace.start[row], trace.end[row], view);
  if (!isInside) return html`<div class="row-time"></div>`;
  const isLate = left + width > 80;
  const label = isLate && left > 18 ? { right: `calc(${100 - left}% + 6px)` } : isLate ? { left: `calc(${Math.max(left, 0)}% + 6px)` } : { left: `calc(${left + width}% + 8px)` };
  return html`
    <div class="row-time" title=${`${duration(trace.end[row] - trace.start[row])}, ${duration(trace.self[row])} itself`}>
      <i class="bar" style=${{ left: `${left}%`, width: `${width}%` }}></i>
      ${critical?.map(([from, to]) => html`<${Critical} from=${from} to=${to} view=${view} />`)}
      <span class=${`bar-label${isLate && left <= 18 ? " inside" : ""}`} style=${label}>${duration(trace.end[row] - trace.start[row])}${trace.numEvents[row] > 0 && html` <span class="bar-mark" title=${`${trace.numEvents[row]} events`}><${Icon} name="event" />${trace.numEvents[row]}</span>`}${trace.numLinks[row] > 0 && html` <span class="bar-mark" title=${`${trace.numLinks[row]} links`}><${Icon} name="link" />${trace.numLinks[row]}</span>`}</span>
    </div>
  `;
}

function Critical({ from, to, view }) {
  const { left, width, isInside } = bar(from, to, view);
  return isInside ? html`<i class="critical" style=${{ left: `${left}%`, width: `${width}%` }}></i>` : null;
}
