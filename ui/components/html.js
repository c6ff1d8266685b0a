// Preact with templates in place of JSX, so that there is nothing to build.

import htm from "../vendor/htm.js";
import { createElement, render } from "../vendor/preact.js";

export const html = htm.bind(createElement);
export { render };
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-hooks.js";
