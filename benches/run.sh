#!/bin/sh
# Runs all benches and prints their medians as a table. Takes some minutes, and with --quick half a minute, after the build.
set -eu
cd "$(dirname "$0")/.."
cargo bench --bench ingest --bench compaction --bench queries --bench receivers -- "$@" > target/bench.log 2>&1 || { tail -20 target/bench.log; exit 1; }
find target/criterion -path '*/new/estimates.json' -newer Cargo.toml | sort | while read -r file; do
    dir=$(dirname "$file")
    awk -v name="$(sed 's/.*"full_id":"\([^"]*\)".*/\1/' "$dir/benchmark.json")" \
        -v elements="$(sed -n 's/.*"Elements":\([0-9]*\).*/\1/p' "$dir/benchmark.json")" \
        -v ns="$(sed 's/.*"median":{[^}]*},"point_estimate":\([0-9.e+]*\).*/\1/; s/.*"median":{"confidence_interval":{[^}]*},"point_estimate":\([0-9.e+]*\).*/\1/' "$file")" \
        'BEGIN { printf "%-62s %12.1f µs", name, ns / 1000; if (elements) printf " %10.1f ns/span", ns / elements; print "" }'
done
