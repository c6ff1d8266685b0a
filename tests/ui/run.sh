#!/usr/bin/env bash
# The page's tests: models without a browser, then each page in headless Chromium against the real server.
#
#   tests/ui/run.sh [binary]      default: builds target/release/conmoto
#   UI_FROM_DISK=1 tests/ui/run.sh binary     the page as it is on disk, in front of any binary
#
# Needs Node 20, Debian's chromium (or CHROMIUM=/path), and playwright-core, which is fetched from npm once. Screenshots and
# figures are left in $UI_ARTEFACTS (default target/ui). Not a part of `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/../.."

TARGET=${CARGO_TARGET_DIR:-$PWD/target}
if [ $# -gt 0 ]; then
  UI_BINARY=$(realpath "$1")
else
  cargo build --release --locked --bin conmoto
  UI_BINARY=$TARGET/release/conmoto
fi
export UI_BINARY
export UI_CHROMIUM=${CHROMIUM:-$(command -v chromium)}
export UI_ARTEFACTS=${UI_ARTEFACTS:-$TARGET/ui}
export UI_MODULES=${UI_MODULES:-$TARGET/ui-modules}
mkdir -p "$UI_ARTEFACTS" "$UI_MODULES"

(cd ui/vendor && sha256sum --check --quiet SHA256SUMS)
node --test tests/ui/unit/

if [ ! -d "$UI_MODULES/node_modules/playwright-core" ]; then
  cp tests/ui/modules.json "$UI_MODULES/package.json"
  (cd "$UI_MODULES" && npm install --no-audit --no-fund --ignore-scripts)
fi
# One after the other: the times that are measured must not be those of another test.
node --test --test-concurrency=1 tests/ui/e2e/
echo "screenshots and figures: $UI_ARTEFACTS"
