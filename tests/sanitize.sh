#!/usr/bin/env bash
# The tests on a native module that an address sanitiser watches: whatever it reads or writes
# outside of what was allocated, or after it was freed, ends the run. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
host=$(rustc -vV | sed -n 's/^host: //p')
into=$PWD/target/sanitized

# Allowed on the stable compiler by RUSTC_BOOTSTRAP; the sanitiser wants --target.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cdebug-assertions" \
    PYO3_PYTHON=$python PYO3_BUILD_EXTENSION_MODULE=1 \
    cargo build --quiet --release --config 'profile.release.lto="off"' \
    --lib --features python --target "$host" --target-dir "$into"

# Its runtime has to come first in a process: the interpreter knows nothing of it.
runtime=$into/watch.so # not libasan.so, which it takes for a second runtime
cp "$(rustc --print sysroot)/lib/rustlib/$host/lib/"librustc-*_rt.asan.a "$into/asan.a"
ar d "$into/asan.a" asan_preinit.cpp.o # allowed in programs only
cc -shared -o "$runtime" -Wl,--whole-archive "$into/asan.a" -Wl,--no-whole-archive \
    -lpthread -ldl -lrt -lm

# The package beside the tests, with this module in it.
rm -rf "$into/package"
mkdir -p "$into/package"
cp -r python/oasis_data "$into/package/"
rm -f "$into"/package/oasis_data/_native*.so
cp "$into/$host/release/liboasis_data.so" "$into/package/oasis_data/_native.so"

# PYTHONMALLOC: Python's objects, too, lie between red zones. Leaks are what
# tests/test_leaks.py counts; the interpreter itself keeps much until the end.
export PYTHONMALLOC=malloc PYTHONPATH=$into/package OASIS_SANITIZED=1
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:handle_segv=0:abort_on_error=1
exec env LD_PRELOAD="$runtime" "$python" -m pytest -p no:cacheprovider "$@"
