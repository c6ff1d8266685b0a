// The place in the page as a link: #/view/argument?name=value. All state that a person would want to send to another is here.

export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view, argument] = path.split("/").map(decode);
  const params = {};
  for (const [name, value] of new URLSearchParams(query)) if (!(name in params)) params[name] = value;
  return { view: view || "search", argument, params };
}

export function format(view, argument, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== undefined && value !== "" && value !== null) query.set(name, value);
  const path = argument === undefined ? view : `${view}/${encodeURIComponent(argument)}`;
  const text = query.toString();
  return `#/${path}${text === "" ? "" : `?${text}`}`;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
