// Which attributes are columns of the table.

import { html, useState } from "../../components/html.js";
import { Icon } from "../../components/icon.js";
import { choices } from "../../model/completion.js";
import { tagNames } from "../../api/tags.js";

export function Columns({ columns, range, onChange }) {
  const [isOpen, setOpen] = useState(false);
  const [scopes, setScopes] = useState([]);
  const [text, setText] = useState("");
  const open = () => {
    setOpen(!isOpen);
    tagNames(range).then(setScopes, () => setScopes([]));
  };
  const offered = choices({ kind: "attribute" }, text, { scopes }).filter((choice) => !columns.includes(choice.text)).slice(0, 12);
  const add = (name) => {
    onChange([...columns, name]);
    setText("");
    setOpen(false);
  };
  return html`
    <div class="columns" onKeyDown=${(event) => event.key === "Escape" && setOpen(false)}>
      <button class="quiet" aria-expanded=${isOpen} onClick=${open}><${Icon} name="plus" /> Column</button>
      ${isOpen && html`
        <div class="popover column-choice">
          <input type="text" placeholder="Attribute" aria-label="Attribute of the column" value=${text} ref=${(field) => field?.focus()} onInput=${(event) => setText(event.target.value)}
            onKeyDown=${(event) => event.key === "Enter" && offered.length > 0 && add(offered[0].text)} />
          <ul>${offered.map((choice) => html`<li key=${choice.text}><button onClick=${() => add(choice.text)}>${choice.text}</button></li>`)}</ul>
        </div>`}
    </div>
  `;
}
