// Starts the page.

import { App } from "./components/app.js";
import { html, render } from "./components/html.js";

render(html`<${App} />`, document.getElementById("page"));
