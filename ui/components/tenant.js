// Whose data is shown, where the server keeps several tenants apart.

import { html, useState } from "./html.js";
import { change, tenant } from "../location.js";
import { remember, remembered } from "../settings.js";

export function TenantField() {
  const [text, setText] = useState(tenant() ?? remembered("tenant") ?? "");
  const choose = (event) => {
    event.preventDefault();
    remember("tenant", text.trim() || undefined);
    change({ tenant: text.trim() || undefined });
  };
  return html`
    <form class="tenant" onSubmit=${choose}>
      <input type="text" placeholder="Tenant" aria-label="Tenant" value=${text} onInput=${(event) => setText(event.target.value)} onBlur=${choose} spellcheck=${false} />
    </form>
  `;
}

export function TenantNeeded() {
  return html`
    <section class="empty">
      <h1>Which tenant?</h1>
      <p>This server keeps tenants apart. Name the one to look at, as senders do in the header <code>X-Scope-OrgID</code>.</p>
      <${TenantField} />
    </section>
  `;
}
