// The waterfall: rows of spans in a tree, bars on a time axis. Only the rows on screen exist.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../components/html.js";
import { useKeys } from "../../components/keys.js";
import { change } from "../../location.js";
import { ancestors, collapsedBelow, visibleRows, window as rowsInView } from "../../model/waterfall.js";
import { Axis } from "./axis.js";
import { Details } from "./details.js";
import { Minimap } from "./minimap.js";
import { Row, ROW_HEIGHT } from "./row.js";
import { Toolbar } from "./toolbar.js";
import { useFind } from "./use_find.js";

export function Waterfall({ client, trace, critical, hues, params }) {
  const [collapsed, setCollapsed] = useState(new Set());
  const [selected, setSelected] = useState(-1);
  const [isOpen, setOpen] = useState(false);
  const [view, setView] = useState({ from: 0, to: trace.duration });
  const [isCritical, setCritical] = useState(true);
  const [onlyMatches, setOnlyMatches] = useState(false);
  const find = useFind(client, trace, params.find ?? "");
  const list = useRef(null);
  const rows = useMemo(() => visibleRows(trace, collapsed, onlyMatches ? find.mask : undefined), [trace, collapsed, onlyMatches, find.mask]);

  const toggle = (row) => setCollapsed((old) => withToggled(old, row));
  const reveal = (row) => {
    const hiding = ancestors(trace, row).filter((parent) => collapsed.has(parent));
    if (hiding.length > 0) setCollapsed((old) => new Set([...old].filter((parent) => !hiding.includes(parent))));
    setSelected(row);
  };
  const open = (row) => {
    setSelected(row);
    setOpen(true);
  };
  const close = () => {
    setOpen(false);
    change({ span: undefined }, { replacing: true });
  };
  useLinkedSpan(client, params.span, selected, (row) => {
    reveal(row);
    setOpen(true);
  });
  const jump = (step) => find.rows.length > 0 && reveal(find.step(selected, step));
  useWaterfallKeys({ trace, rows, selected, collapsed, setSelected, toggle, open, close, jump, onCritical: () => setCritical(!isCritical) });
  useScrollIntoView(list, rows, selected);

  return html`
    <${Toolbar} find=${find} selected=${selected} onJump=${jump} onlyMatches=${onlyMatches} onOnlyMatches=${setOnlyMatches} isCritical=${isCritical} onCritical=${setCritical}
      onCollapse=${() => setCollapsed(collapsedBelow(trace, 1))} onExpand=${() => setCollapsed(new Set())} isZoomed=${view.from > 0 || view.to < trace.duration} onWhole=${() => setView({ from: 0, to: trace.duration })} />
    <div class=${`trace-body ${isOpen ? "with-details" : ""}`}>
      <div class="waterfall">
        <${Minimap} trace=${trace} hues=${hues} view=${view} onView=${setView} />
        <${Axis} view=${view} />
        <${Rows} listRef=${list} trace=${trace} rows=${rows} critical=${isCritical ? critical : undefined} hues=${hues} view=${view} collapsed=${collapsed} selected=${selected} mask=${find.mask} onToggle=${toggle} onOpen=${open} />
      </div>
      ${isOpen && selected >= 0 && html`<${Details} client=${client} trace=${trace} row=${selected} hues=${hues} onClose=${close} onSelect=${reveal} />`}
    </div>
  `;
}

function withToggled(set, item) {
  const copy = new Set(set);
  if (!copy.delete(item)) copy.add(item);
  return copy;
}

// A link may name a span; it is opened once, when the trace is there.
function useLinkedSpan(client, id, selected, onFound) {
  useEffect(() => {
    if (id === undefined || selected >= 0) return;
    client.ask("rowOf", { id }).then((row) => row >= 0 && onFound(row), () => {});
  }, [client, id]);
}

function useWaterfallKeys({ trace, rows, selected, collapsed, setSelected, toggle, open, close, jump, onCritical }) {
  const place = selected < 0 ? -1 : rows.indexOf(selected);
  const move = (step) => () => rows.length > 0 && setSelected(rows[Math.max(0, Math.min(rows.length - 1, place + step))]);
  const hasChildren = selected >= 0 && trace.subtree[selected] > 1;
  const left = () => (hasChildren && !collapsed.has(selected) ? toggle(selected) : selected >= 0 && trace.parent[selected] >= 0 && setSelected(trace.parent[selected]));
  const right = () => (hasChildren && collapsed.has(selected) ? toggle(selected) : move(1)());
  useKeys({
    j: move(1), ArrowDown: move(1), k: move(-1), ArrowUp: move(-1), PageDown: move(20), PageUp: move(-20), Home: move(-rows.length), End: move(rows.length),
    h: left, ArrowLeft: left, l: right, ArrowRight: right,
    Enter: () => selected >= 0 && open(selected), Escape: close, n: () => jump(1), p: () => jump(-1), c: onCritical,
  });
}

function useScrollIntoView(list, rows, selected) {
  useLayoutEffect(() => {
    const place = selected < 0 ? -1 : rows.indexOf(selected);
    if (place < 0 || list.current === null) return;
    const { scrollTop, clientHeight } = list.current;
    const top = place * ROW_HEIGHT;
    if (top < scrollTop) list.current.scrollTop = top - ROW_HEIGHT * 2;
    else if (top + ROW_HEIGHT > scrollTop + clientHeight) list.current.scrollTop = top - clientHeight + ROW_HEIGHT * 3;
  }, [selected, rows]);
}

function Rows({ listRef, trace, rows, critical, hues, view, collapsed, selected, mask, onToggle, onOpen }) {
  const [shown, setShown] = useState({ first: 0, last: 60 });
  const look = () => {
    // An observer may still report when the view is gone.
    if (listRef.current === null) return;
    const { scrollTop, clientHeight } = listRef.current;
    const next = rowsInView(rows.length, ROW_HEIGHT, scrollTop, clientHeight);
    setShown((old) => (old.first === next.first && old.last === next.last ? old : next));
  };
  useLayoutEffect(look, [rows]);
  useEffect(() => {
    const observer = new ResizeObserver(look);
    observer.observe(listRef.current);
    return () => observer.disconnect();
  }, [rows]);
  const drawn = [];
  for (let place = shown.first; place < Math.min(shown.last, rows.length); place++) {
    const row = rows[place];
    drawn.push(html`<${Row} key=${row} trace=${trace} row=${row} place=${place} critical=${critical?.get(row)} hues=${hues} view=${view} isCollapsed=${collapsed.has(row)}
      isSelected=${row === selected} isMatch=${mask !== undefined && mask[row] === 1} onToggle=${onToggle} onOpen=${onOpen} />`);
  }
  return html`
    <div class="rows" ref=${listRef} onScroll=${look} role="tree" aria-label="Spans" tabindex="0" aria-activedescendant=${selected >= 0 ? `row-${selected}` : undefined}>
      <div class="rows-room" style=${{ height: `${rows.length * ROW_HEIGHT}px` }}>${drawn}</div>
    </div>
  `;
}
