// Runs before the page is painted, so that a chosen theme does not flash. A classic script: modules come too late.
"use strict";
try {
  const chosen = localStorage.getItem("conmoto.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden; the system's choice holds.
}
