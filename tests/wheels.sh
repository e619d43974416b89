#!/usr/bin/env bash
# Builds a manylinux_2_17 wheel for each interpreter named, into dist/, and proves each: auditwheel
# finds the platform that its name says, it is small, and an empty venv without Rust can use it.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
platform=manylinux_2_17_$(uname -m)
most_bytes=2400000
test "$#" -gt 0 || { echo "no CPython was found" >&2; exit 1; }
rm -rf dist && mkdir dist
for python in "$@"; do
    out=$scratch/$(basename "$python")
    # The interpreter of .venv is not the one to compile for here. In target/wheels, since zig links
    # against another libc than the module of the tests.
    env -u PYO3_PYTHON PATH="$bin:$PATH" CARGO_TARGET_DIR=target/wheels \
        maturin build --quiet --release --strip --locked --zig --compatibility manylinux_2_17 \
        --interpreter "$python" --out "$out"
    wheel=$(echo "$out"/*.whl)
    # auditwheel breaks its lines anywhere.
    audit=$("$bin/auditwheel" show "$wheel" | tr -s '[:space:]' ' ')
    grep -q "consistent with the following platform tag: \"$platform\"" <<<"$audit" ||
        { echo "$wheel: $audit" >&2; exit 1; }
    bytes=$(stat -c %s "$wheel")
    test "$bytes" -le "$most_bytes" || { echo "$wheel: $bytes bytes, more than $most_bytes" >&2; exit 1; }
    "$python" -m venv "$out/venv"
    # Without cargo and without an index: the wheel alone has to do.
    (cd "$out" && PATH=/usr/sbin:/usr/bin:/sbin:/bin && venv/bin/python -m pip install -qq --no-index --disable-pip-version-check "$wheel" &&
        venv/bin/python -W error - <<'P'
import tempfile
from pathlib import Path

from oasis_data import edit_json, list_backups, load_data_file, save_json_atomic

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "tanks.json"
    save_json_atomic(path, {"Tank1": [1, 2.5, "é"]})
    with edit_json(path) as tanks:
        tanks["Tank2"] = None
    assert load_data_file(path) == {"Tank1": [1, 2.5, "é"], "Tank2": None}
    assert len(list_backups(path)) == 1
P
    )
    mv "$wheel" dist/
    echo "$(basename "$wheel"): $bytes bytes, $platform, installed and used"
done
