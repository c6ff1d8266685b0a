// The address bar as state: one subscription, one way to change it.

import { useEffect, useState } from "./vendor/preact-hooks.js";
import { format, parse } from "./model/location.js";
import { isMultitenant } from "./settings.js";

export const current = () => parse(window.location.hash);

export function useLocation() {
  const [location, set] = useState(current);
  useEffect(() => {
    const changed = () => set(current());
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return location;
}

// A link within the page. The tenant goes along, or a link would show another one's data.
export function link(view, argument, params) {
  return format(view, argument, { tenant: tenant(), ...params });
}

export function go(view, argument, params) {
  window.location.hash = link(view, argument, params);
}

// Changes parameters of the place one is at; `undefined` takes one away. Replacing leaves no step behind for "back".
export function change(params, { replacing = false } = {}) {
  const { view, argument, params: old } = current();
  const hash = format(view, argument, { ...old, ...params });
  if (hash === window.location.hash) return;
  if (!replacing) {
    window.location.hash = hash;
    return;
  }
  window.history.replaceState(null, "", hash);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

export function tenant() {
  return isMultitenant ? current().params.tenant : undefined;
}
