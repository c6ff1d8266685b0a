// The frame: header, the view of the current place, help.

import { html, useEffect, useState } from "./html.js";
import { go, useLocation } from "../location.js";
import { isMultitenant } from "../settings.js";
import { useKeys } from "./keys.js";
import { Header } from "./header.js";
import { Help } from "./help.js";
import { TenantNeeded } from "./tenant.js";
import { SearchView } from "../views/search/index.js";

// Loaded when they are first shown: the start page needs none of them.
const LATER = {
  trace: async () => (await import("../views/trace/index.js")).TraceView,
  compare: async () => (await import("../views/compare/index.js")).CompareView,
  overview: async () => (await import("../views/overview/index.js")).OverviewView,
  map: async () => (await import("../views/map/index.js")).MapView,
  status: async () => (await import("../views/status/index.js")).StatusView,
};
const loaded = { search: SearchView };

function useView(name) {
  const [, again] = useState(0);
  const [failed, setFailed] = useState(false);
  const known = name in LATER || name in loaded ? name : "search";
  useEffect(() => {
    if (loaded[known] !== undefined) return;
    const ready = (view) => {
      loaded[known] = view;
      again((number) => number + 1);
    };
    LATER[known]().then(ready, () => setFailed(true));
  }, [known]);
  return { View: loaded[known], failed };
}

// What most people open next is fetched while they read.
function usePreloading() {
  useEffect(() => {
    const timer = setTimeout(() => LATER.trace().then((view) => (loaded.trace ??= view), () => {}), 400);
    return () => clearTimeout(timer);
  }, []);
}

export function App() {
  const location = useLocation();
  const [isHelping, setHelping] = useState(false);
  const { View, failed } = useView(location.view);
  usePreloading();
  useKeys({
    "?": () => setHelping(true),
    "g s": () => go("search"),
    "g o": () => go("overview"),
    "g m": () => go("map"),
    "g t": () => go("status"),
  });
  return html`
    <a class="skip" href="#content" onClick=${focusContent}>Skip to content</a>
    <${Header} location=${location} onHelp=${() => setHelping(true)} />
    <main id="content" tabindex="-1">${content(location, View, failed)}</main>
    ${isHelping && html`<${Help} onClose=${() => setHelping(false)} />`}
  `;
}

function content(location, View, failed) {
  if (failed) return html`<p class="notice notice-error">This part of the page could not be loaded. If the server was updated, reload the page.</p>`;
  if (isMultitenant && location.params.tenant === undefined) return html`<${TenantNeeded} />`;
  return View === undefined ? html`<p class="loading">Loading …</p>` : html`<${View} location=${location} />`;
}

// A plain jump would change the hash, which is the place in the page.
function focusContent(event) {
  event.preventDefault();
  document.getElementById("content").focus();
}
