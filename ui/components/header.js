// Name, places, a field for trace ids, theme.

import { html, useState } from "./html.js";
import { go, link } from "../location.js";
import { isMultitenant, remember, remembered } from "../settings.js";
import { Icon } from "./icon.js";
import { TenantField } from "./tenant.js";

const PLACES = [["search", "Search"], ["overview", "Overview"], ["map", "Service map"], ["status", "Status"]];

export function Header({ location, onHelp }) {
  const range = keptRange(location.params);
  const isHere = (view) => view === location.view || (view === "search" && ["trace", "compare"].includes(location.view));
  return html`
    <header class="header">
      <a class="brand" href=${link("search", undefined, {})}><span class="brand-mark" aria-hidden="true"><i></i><i></i><i></i></span>Conmoto</a>
      <nav class="places" aria-label="Pages">
        ${PLACES.map(([view, label]) => html`<a key=${view} href=${link(view, undefined, range)} aria-current=${isHere(view) ? "page" : undefined}>${label}</a>`)}
      </nav>
      <span class="spacer"></span>
      <${TraceIdField} />
      ${isMultitenant && html`<${TenantField} />`}
      <${ThemeSwitch} />
      <button class="icon-button" title="Keys and help (?)" aria-label="Keys and help" onClick=${onHelp}>?</button>
    </header>
  `;
}

// The range goes along from page to page; the query does not.
function keptRange({ last, from, to }) {
  return { last, from, to };
}

function TraceIdField() {
  const [text, setText] = useState("");
  const id = text.trim();
  const isId = /^[0-9a-f]{1,32}$/i.test(id);
  const open = (event) => {
    event.preventDefault();
    if (!isId) return;
    go("trace", id);
    setText("");
  };
  return html`
    <form class="trace-id" role="search" onSubmit=${open}>
      <input type="text" placeholder="Open trace by id" aria-label="Open trace by id" spellcheck=${false} autocomplete="off"
        value=${text} onInput=${(event) => setText(event.target.value)} aria-invalid=${id !== "" && !isId} />
    </form>
  `;
}

const THEMES = { system: ["auto", "Theme: as the system"], light: ["sun", "Theme: light"], dark: ["moon", "Theme: dark"] };

function ThemeSwitch() {
  const [theme, setTheme] = useState(remembered("theme") ?? "system");
  const next = { system: "light", light: "dark", dark: "system" }[theme] ?? "system";
  const change = () => {
    const chosen = next === "system" ? undefined : next;
    if (chosen === undefined) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    remember("theme", chosen);
    setTheme(next);
    // Plots are painted in colours of their own.
    window.dispatchEvent(new Event("conmoto-theme"));
  };
  const [icon, label] = THEMES[theme] ?? THEMES.system;
  return html`<button class="icon-button" title=${label} aria-label=${label} onClick=${change}><${Icon} name=${icon} /></button>`;
}
