// What the server wrote into the start page, and what this browser remembers.

const meta = (name) => document.querySelector(`meta[name="conmoto-${name}"]`)?.content ?? "";

export const release = meta("release");
export const isMultitenant = meta("multitenancy") === "true";

// Where the API is, seen from the page: both may be below a prefix.
export const apiBase = new URL(`.${meta("api-prefix")}/`, document.baseURI).href;
export const operationsBase = new URL("./", document.baseURI).href;

export function remembered(name) {
  try {
    return localStorage.getItem(`conmoto.${name}`) ?? undefined;
  } catch {
    return undefined;
  }
}

export function remember(name, value) {
  try {
    if (value === undefined) localStorage.removeItem(`conmoto.${name}`);
    else localStorage.setItem(`conmoto.${name}`, value);
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
}
