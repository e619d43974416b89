"""What the metrics of one process and of its documents say."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from flask import Flask
from prometheus_client import Counter

from oasis_data import (
    clear_all_cache,
    configure,
    load_data_file,
    load_many,
    restore_backup,
    save_json_atomic,
    stats,
)
from oasis_data.flask import OasisData
from oasis_data.monitoring import exposition
from tests.conftest import python
from tests.monitoring.samples import at, samples, scrape

# One process


def test_counts_are_those_of_stats(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    save_json_atomic(path, [1])
    load_data_file(path)
    load_data_file(anywhere / "missing.json")

    found, counted = scrape(), stats()

    for name, count in counted.items():
        if isinstance(count, int) and name not in ("read_failures", "write_failures"):
            suffix = "" if name.startswith("cache_") else "_total"
            assert at(found, f"oasis_data_{name}{suffix}") == count
    told = {
        (labels["operation"], labels["kind"]): value
        for (name, pairs), value in found.items()
        if name == "oasis_data_failures_total" and value
        for labels in [dict(pairs)]
    }
    assert told == {
        (operation, kind): count
        for operation, kinds in counted["failures"].items()
        for kind, count in kinds.items()
    }


def test_histograms_are_cumulative_and_whole(anywhere: Path) -> None:
    save_json_atomic(anywhere / "tanks.json", 1)

    found = scrape()

    latency = stats()["latencies"]["write"]
    metric = "oasis_data_operation_seconds"
    assert at(found, f"{metric}_count", operation="write") == latency["count"]
    assert at(found, f"{metric}_sum", operation="write") == latency["seconds"]
    assert at(found, f"{metric}_bucket", operation="write", le="+Inf") == latency["count"]
    below = 0
    for bound, count in latency["buckets"]:
        below += count
        assert at(found, f"{metric}_bucket", operation="write", le=str(bound)) == below
    assert at(found, "oasis_data_lock_wait_seconds_count") >= 0


def test_metrics_of_the_application_are_among_them() -> None:
    counter = Counter("own_things", "Things of the application's own")
    counter.inc(3)

    assert at(scrape(), "own_things_total") == 3


def test_failures_that_alerts_wait_for_are_there_from_the_start() -> None:
    printed = python(
        "from oasis_data.monitoring import exposition; print(exposition()[0].decode())"
    )

    found = samples(printed)

    assert at(found, "oasis_data_failures_total", operation="read", kind="CorruptFileError") == 0
    for operation in ("read", "write", "delete"):
        kind = "LockTimeoutError"
        assert at(found, "oasis_data_failures_total", operation=operation, kind=kind) == 0


# Documents


def test_documents_are_told_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    for number in range(3):
        save_json_atomic(path, number)
    (tmp_path / "tanks.json.backup.by_hand").write_text("")
    (tmp_path / "other.json.backup.20250101_000000_000000").write_text("")
    (tmp_path / "tanks.json.backup.20250101_000000_000000.gz").write_text("")
    link = tmp_path / "link.json"
    link.symlink_to(path)
    disk = os.statvfs(tmp_path)

    found = scrape({"tanks": path, "link": str(link), "missing": os.fsencode(tmp_path / "no.json")})

    for document in ("tanks", "link"):
        prefix = "oasis_data_document"
        assert at(found, f"{prefix}_bytes", document=document) == 1
        assert at(found, f"{prefix}_backups", document=document) == 3
        modified = at(found, f"{prefix}_modified_timestamp_seconds", document=document)
        assert modified == path.stat().st_mtime
    size = at(found, "oasis_data_document_disk_size_bytes", document="missing")
    assert size == disk.f_blocks * disk.f_frsize
    assert 0 < at(found, "oasis_data_document_disk_free_bytes", document="missing") < size
    absent = ("oasis_data_document_bytes", frozenset({("document", "missing")}))
    assert absent not in found


def test_a_folder_that_is_gone_leaves_the_others_told(anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    save_json_atomic(path, 1)

    found = scrape({"gone": anywhere / "gone" / "a.json", "tanks": path})

    assert at(found, "oasis_data_document_bytes", document="tanks") == 1
    assert not [labels for _, labels in found if ("document", "gone") in labels]


def test_a_server_that_does_not_answer_holds_up_no_scrape(tmp_path: Path) -> None:
    folder = tmp_path / "stored"
    configure(stores={str(folder): "postgresql://me:secret@127.0.0.1:1/plant"})
    save_json_atomic(tmp_path / "tanks.json", 1)
    documents = {str(number): folder / f"{number}.json" for number in range(20)}

    begun = time.monotonic()
    found = scrape({**documents, "tanks": tmp_path / "tanks.json"})

    assert time.monotonic() - begun < 8  # Prometheus waits for ten seconds
    assert at(found, "oasis_data_document_bytes", document="tanks") == 1
    assert at(found, "oasis_data_saves_total") > 0


def test_the_extension_serves_them(anywhere: Path) -> None:
    app = Flask(__name__)
    app.config.update(
        OASIS_DATA_ROOT=anywhere,
        OASIS_DATA_DOCUMENTS={"tanks": "tanks.json"},
        OASIS_DATA_METRICS_PATH="/internal/metrics",
    )
    OasisData(app)
    save_json_atomic(anywhere / "tanks.json", [1])

    answer = app.test_client().get("/internal/metrics")

    assert answer.mimetype == "text/plain"
    assert at(samples(answer.text), "oasis_data_document_bytes", document="tanks") == 7
    assert str(anywhere) not in answer.text


def test_exposition_is_one_that_prometheus_takes(promtool: str, anywhere: Path) -> None:
    path = anywhere / "tanks.json"
    save_json_atomic(path, 1)
    save_json_atomic(path, 2)
    restore_backup(path)
    clear_all_cache()
    load_many([path])

    body, _ = exposition({"tanks": path})

    ours = b"".join(line for line in body.splitlines(True) if b"oasis_data_" in line)
    checked = subprocess.run([promtool, "check", "metrics"], input=ours, capture_output=True)
    assert checked.returncode == 0, checked.stderr.decode()
