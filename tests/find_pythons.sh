#!/usr/bin/env bash
# Prints a CPython that runs for each version that the package supports, oldest first: from the
# PATH, or else from pyenv. Versions that are not there are left out.
set -uo pipefail
shopt -s nullglob
pyenv=$(pyenv root 2>/dev/null)
for minor in 10 11 12 13 14 15; do
    for python in "$(command -v "python3.$minor")" "$pyenv/versions/3.$minor."*/bin/"python3.$minor"; do
        # A name on the PATH may be a shim with no interpreter behind it.
        if [ -n "$python" ] && "$python" -c "import ensurepip, sys; sys.exit(sys.version_info[1] != $minor)" 2>/dev/null; then
            echo "$python"
            break
        fi
    done
done
