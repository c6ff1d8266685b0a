// Runs as early as it can, so that a chosen theme does not flash. A classic script, because modules come later; it does not
// hold up the page, because most people have chosen none.
"use strict";
try {
  const chosen = localStorage.getItem("conmoto.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden; the system's choice holds.
}
