// Text can be read in both themes: WCAG's contrast of every pair of text and ground that the style sheets put together.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const css = readFileSync(new URL("../../../ui/styles/base.css", import.meta.url), "utf8");
const GROUNDS = ["bg", "surface", "raised", "sunken"];
const PAIRS = [
  ...GROUNDS.flatMap((ground) => ["text", "muted", "accent", "error"].map((text) => [text, ground])),
  ["accent-text", "accent"], ["accent", "accent-soft"], ["text", "accent-soft"], ["muted", "accent-soft"], ["error", "error-soft"], ["text", "error-soft"], ["text", "match"], ["muted", "match"],
];

function colours(theme) {
  const found = {};
  for (const [, name, light, dark] of css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)) found[name] = theme === "light" ? light : dark;
  return found;
}

function luminance(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

for (const theme of ["light", "dark"]) {
  test(`text has a contrast of 4.5 or more in the ${theme} theme`, () => {
    const named = colours(theme);
    for (const [text, ground] of PAIRS) {
      const found = contrast(named[text], named[ground]);
      assert.ok(found >= 4.5, `${text} on ${ground}: ${found.toFixed(2)}`);
    }
  });
}
