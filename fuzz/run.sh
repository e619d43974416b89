#!/usr/bin/env bash
# Builds each target as `cargo fuzz` does, but with the stable compiler (RUSTC_BOOTSTRAP allows
# it the sanitiser), and runs it for so many seconds. What it finds is a file in target/fuzz.
# Whoever has cargo-fuzz and a nightly compiler can also say `cargo fuzz run document`.
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
    # The first corpus grows; the second is only read.
    "$into/$host/release/$target" -dict=fuzz/json.dict -max_len=2048 -print_final_stats=1 \
        -artifact_prefix="$into/$target-" -max_total_time="$seconds" -verbosity=0 \
        "$into/corpus/$target" examples/backend/sample_data
done
