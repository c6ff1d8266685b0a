// The choices, hanging below the word that they would replace.

import { html, useLayoutEffect, useRef } from "../../components/html.js";

export function CompletionList({ completion, onChoose }) {
  const list = useRef(null);
  useLayoutEffect(() => {
    if (!completion.isOpen || completion.anchor.current === null) return;
    const { offsetLeft, offsetTop, offsetHeight } = completion.anchor.current;
    const room = list.current.parentElement.clientWidth - list.current.offsetWidth - 4;
    list.current.style.left = `${Math.max(0, Math.min(offsetLeft, room))}px`;
    list.current.style.top = `${offsetTop + offsetHeight + 6}px`;
    list.current.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  });
  if (!completion.isOpen) return null;
  // The field must keep the focus, or the list would close before the click arrives.
  const keep = (event) => event.preventDefault();
  return html`
    <ul class="completion" id="completion" role="listbox" aria-label="Completion" ref=${list} onMouseDown=${keep}>
      ${completion.offered.map((choice, place) => html`
        <li key=${choice.text} id=${`completion-${place}`} role="option" aria-selected=${place === completion.chosen} onClick=${() => onChoose(choice)}>
          <span class="completion-text">${choice.text}</span><span class="completion-detail">${choice.detail}</span>
        </li>`)}
    </ul>
  `;
}
