"""What a load of an unchanged document of 1 MB takes, right away and after other work.

The figures behind the prefetching in `src/codec/clone.rs`: run this, take the calls of
`objects::prefetch` and `objects::prefetch_content` out, build, and run it again.
"""

from __future__ import annotations

import copy
import json
import tempfile
import time
from pathlib import Path

import corpora
from measure import take_turns

from oasis_data import load_data_file


def main() -> None:
    """Prints the medians of both, in microseconds."""
    document = corpora.schedule(1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schedule.json"
        path.write_text(json.dumps(document, indent=2))
        time.sleep(0.3)
        for _ in range(3):
            load_data_file(path)
        load = {"load": lambda: load_data_file(path)}
        warm = take_turns(load)["load"]
        # The deep copy takes the processor's caches for itself.
        cold = take_turns(load, before=lambda: copy.deepcopy(document), seconds=4.0)["load"]
    print(f"right away {warm:,.0f} us, after a deep copy {cold:,.0f} us")


if __name__ == "__main__":
    main()
