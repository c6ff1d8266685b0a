#!/bin/sh
# Runs docs/sql.md against blocks of a real server. Needs Python with duckdb and polars:
#   python3 -m venv /tmp/sql && /tmp/sql/bin/pip install duckdb polars
#   PYTHON=/tmp/sql/bin/python tests/sql/run.sh [path of the conmoto binary]
set -eu
cd "$(dirname "$0")/../.."
binary="${1:-${CARGO_TARGET_DIR:-target}/debug/conmoto}"
exec "${PYTHON:-python3}" tests/sql/run.py "$binary"
