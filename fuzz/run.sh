#!/usr/bin/env bash
# Usage: fuzz/run.sh [SECONDS]. Builds each target and runs it for that time. A text that fails
# becomes a file in target/fuzz. The flags are those of `cargo fuzz`, which needs a nightly compiler;
# RUSTC_BOOTSTRAP lets the stable compiler take them. With a nightly: `cargo fuzz run document`.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-120}
host=$(rustc -vV | sed -n 's/^host: //p')
into=target/fuzz

flags=(--cfg fuzzing -Zsanitizer=address -Cdebug-assertions -Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done
RUSTC_BOOTSTRAP=1 RUSTFLAGS="${flags[*]}" cargo build --quiet --release \
    --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$into"

for target in document numbers; do
    mkdir -p "$into/corpus/$target"
    # libFuzzer adds to the first corpus, and only reads the second.
    "$into/$host/release/$target" -dict=fuzz/json.dict -max_len=2048 -print_final_stats=1 \
        -artifact_prefix="$into/$target-" -max_total_time="$seconds" -verbosity=0 \
        "$into/corpus/$target" examples/backend/sample_data
done
