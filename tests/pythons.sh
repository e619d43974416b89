#!/usr/bin/env bash
# Installs the package as a user would (`pip install .`) on each interpreter
# named, and runs the Python tests on it, or those that SOME names. Interpreters
# not found are named and passed over.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
# Some tests go on as another user, who has to find the package.
chmod 755 "$scratch"
trap 'rm -rf "$scratch"' EXIT
found=0
for python in "$@"; do
    if ! command -v "$python" >/dev/null; then
        echo "$python: not found, passed over"
        continue
    fi
    found=$((found + 1))
    venv="$scratch/$(basename "$(dirname "$(dirname "$python")")")-$(basename "$python")"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check 'pip==26.3'
    # The interpreter of .venv is not the one to compile for here.
    env -u PYO3_PYTHON "$venv/bin/python" -m pip install -qq . --group dev
    # From a copy of the tests alone: what is imported is what was installed.
    rm -rf "$scratch/copy" && mkdir "$scratch/copy"
    cp -r tests examples docs benches src pyproject.toml Cargo.toml README.md "$scratch/copy"
    # shellcheck disable=SC2086 # several files and folders
    (cd "$scratch/copy" && "$venv/bin/python" -m pytest -q ${SOME:-})
    echo "$("$venv/bin/python" --version): passed"
done
test "$found" -gt 0 || { echo "none of these was found: $*" >&2; exit 1; }
