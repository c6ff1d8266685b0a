// Starts the page.

import { App } from "./components/app.js";
import { html, render } from "./components/html.js";

const place = document.getElementById("page");
place.replaceChildren();
render(html`<${App} />`, place);
