"""Metrics that add up over processes, and the dashboard and the alerts made of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from flask import Flask
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

import oasis_data
from oasis_data import (
    clear_all_cache,
    load_data_file,
    load_many,
    monitoring,
    restore_backup,
    save_json_atomic,
    stats,
)
from oasis_data.flask import OasisData
from oasis_data.monitoring import exposition, publish
from tests.backend.servers import WORKERS, Server, serve, wait_for
from tests.conftest import python, require

MONITORING = Path(__file__).resolve().parent.parent / "docs" / "monitoring"

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]


def samples(text: str) -> Samples:
    """Every sample of an exposition, by name and labels; each only once."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def scrape(documents: dict[str, Any] | None = None) -> Samples:
    body, content_type = exposition(documents)
    assert content_type.startswith("text/plain; version=")
    return samples(body.decode())


def at(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    require(found, "needs promtool, from Debian's package prometheus")
    assert found
    return found


# One process


def test_counts_are_those_of_stats(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, [1])
    load_data_file(path)
    load_data_file(tmp_path / "missing.json")

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


def test_histograms_are_cumulative_and_whole(tmp_path: Path) -> None:
    save_json_atomic(tmp_path / "tanks.json", 1)

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


def test_a_folder_that_is_gone_leaves_the_others_told(tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)

    found = scrape({"gone": tmp_path / "gone" / "a.json", "tanks": path})

    assert at(found, "oasis_data_document_bytes", document="tanks") == 1
    assert not [labels for _, labels in found if ("document", "gone") in labels]


def test_the_extension_serves_them(tmp_path: Path) -> None:
    app = Flask(__name__)
    app.config.update(
        OASIS_DATA_ROOT=tmp_path,
        OASIS_DATA_DOCUMENTS={"tanks": "tanks.json"},
        OASIS_DATA_METRICS_PATH="/internal/metrics",
    )
    OasisData(app)
    save_json_atomic(tmp_path / "tanks.json", [1])

    answer = app.test_client().get("/internal/metrics")

    assert answer.mimetype == "text/plain"
    assert at(samples(answer.text), "oasis_data_document_bytes", document="tanks") == 7
    assert str(tmp_path) not in answer.text


# Several processes


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "data").mkdir()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "app.py").write_text(APP)
    command = ["-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", str(WORKERS)]
    command += ["--worker-class", "gthread", "--threads", "2", "--no-control-socket"]
    command += ["--preload", "app:app"]
    env = {
        "DATA": str(tmp_path / "data"),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
    }
    with serve(command, log=tmp_path / "log", cwd=tmp_path, env=env) as server:
        yield server


APP = """
import os
from flask import Flask, jsonify
from oasis_data import load_data_file, save_json_atomic
from oasis_data.flask import OasisData, get_data_file_path

data = OasisData()
app = Flask(__name__)
app.config.update(
    OASIS_DATA_ROOT=os.environ["DATA"],
    OASIS_DATA_DOCUMENTS={"tanks": "tanks.json", "broken": "broken.json"},
    OASIS_DATA_METRICS_PATH="/metrics",
)
data.init_app(app)
app.get("/data/<data_type>")(data.get_document)
app.put("/data/<data_type>")(data.put_document)

@app.get("/load/<data_type>")
def load(data_type):
    document = load_data_file(get_data_file_path(data_type))
    return jsonify({"pid": os.getpid(), "document": document})

# By the process that the workers are forked from: it must not become theirs too.
with app.app_context():
    save_json_atomic(get_data_file_path("tanks"), "first")
    load_data_file(get_data_file_path("tanks"))
"""


def request(server: Server, path: str, method: str = "GET", content: object = None) -> bytes:
    body = None if method == "GET" else json.dumps(content).encode()
    sent = Request(
        f"http://127.0.0.1:{server.port}{path}",
        data=body,
        method=method,
        headers={"Content-Type": "application/json", "Connection": "close"},
    )
    with urlopen(sent, timeout=60) as answer:
        read: bytes = answer.read()
    return read


def drive(server: Server, saves: int, loads: int) -> set[int]:
    """Four clients at once; returns the workers that answered."""
    pids: set[int] = set()

    def client(number: int) -> None:
        for count in range(saves):
            request(server, "/data/tanks", "PUT", f"{number} {count} {'x' * 100}")
        for _ in range(loads):
            pids.add(json.loads(request(server, "/load/tanks"))["pid"])
            request(server, "/load/broken")

    clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    return pids


def test_totals_of_four_workers_are_exact_in_one_scrape(backend: Server, tmp_path: Path) -> None:
    (tmp_path / "data" / "broken.json").write_text("{")
    workers: set[int] = set()
    rounds = 0
    while len(workers) < WORKERS:
        assert rounds < 20
        workers |= drive(backend, saves=5, loads=20)
        rounds += 1

    found = samples(request(backend, "/metrics").decode())

    # One more save and load by the process that the workers were forked from.
    saves, loads = 20 * rounds + 1, 80 * rounds
    assert at(found, "oasis_data_saves_total") == saves
    assert (
        at(found, "oasis_data_hits_total") + at(found, "oasis_data_misses_total") == 2 * loads + 1
    )
    corrupt = at(found, "oasis_data_failures_total", operation="read", kind="CorruptFileError")
    assert corrupt == loads
    count = at(found, "oasis_data_operation_seconds_count", operation="write")
    assert count == saves
    assert at(found, "oasis_data_operation_seconds_bucket", operation="write", le="+Inf") == saves
    texts = [json.dumps(f"{number} {each} {'x' * 100}") for number in range(4) for each in range(5)]
    written = rounds * sum(map(len, texts)) + len('"first"')
    assert at(found, "oasis_data_bytes_written_total") == written
    # What each worker has, and the process that they were forked from; documents once.
    assert 1 <= at(found, "oasis_data_cache_entries") <= WORKERS + 1
    assert at(found, "oasis_data_document_backups", document="tanks") == 10
    # Whichever worker is asked tells the same.
    again = samples(request(backend, "/metrics").decode())
    assert at(again, "oasis_data_saves_total") == saves


def test_what_a_worker_counted_stays_when_it_is_gone(backend: Server) -> None:
    drive(backend, saves=5, loads=5)
    before = set(backend.workers())
    for pid in before:
        os.kill(pid, 9)
    wait_for(lambda: not before & set(backend.workers()), "the workers to be gone")
    wait_for(lambda: len(backend.workers()) == WORKERS, "new workers")

    drive(backend, saves=5, loads=5)

    found = samples(request(backend, "/metrics").decode())
    assert at(found, "oasis_data_saves_total") == 41


def test_a_program_publishes_by_itself(tmp_path: Path) -> None:
    printed = python(
        """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from oasis_data import save_json_atomic
from oasis_data.monitoring import exposition, publish
def work(count):
    for number in range(count):
        save_json_atomic(os.path.join(sys.argv[1], "tanks.json"), number)
        publish()
work(3)
for count in (4, 5):
    if not os.fork():
        work(count)
        os._exit(0)
    os.wait()
work(2)
print(exposition()[0].decode())
""",
        tmp_path,
    )

    found = samples(printed)
    assert at(found, "oasis_data_saves_total") == 3 + 4 + 5 + 2
    assert at(found, "oasis_data_operation_seconds_count", operation="write") == 14


def test_a_folder_that_is_set_too_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "anywhere")
    for ask in (publish, exposition):
        with pytest.raises(RuntimeError, match="before the program starts"):
            ask()


def test_a_signal_handler_may_publish_while_its_thread_publishes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = monitoring._Published()
    amounts = monitoring._amounts
    calls = 0

    def interrupted(counted: Any) -> Any:
        nonlocal calls
        calls += 1
        published.bring_up_to_date()
        published.before_fork()
        published.after_fork_in_parent()
        return amounts(counted)

    monkeypatch.setattr(monitoring, "_amounts", interrupted)
    publishing = threading.Thread(target=published.bring_up_to_date, daemon=True)
    publishing.start()
    publishing.join(timeout=30)
    assert not publishing.is_alive()
    assert calls == 1
    assert published._amounts


def test_alone_there_is_nothing_to_publish(tmp_path: Path) -> None:
    save_json_atomic(tmp_path / "tanks.json", 1)
    before = scrape()
    publish()
    assert at(scrape(), "oasis_data_saves_total") == at(before, "oasis_data_saves_total")


# Dashboard and alerts


def all_metrics(tmp_path: Path) -> set[str]:
    """The names of the metrics that there are."""
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    return {name for name, _ in scrape({"tanks": path})}


def named_in(text: str) -> set[str]:
    return set(re.findall(r"\boasis_data_\w+", text))


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    return read


def expressions() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def test_dashboard_and_alerts_name_metrics_that_there_are(tmp_path: Path) -> None:
    known = all_metrics(tmp_path)
    rules = (MONITORING / "rules.yml").read_text()
    used = named_in(" ".join(re.findall(r"oasis_data_\w+(?=[\[{ ])", rules)))

    assert used
    assert used <= known
    asked = named_in(" ".join(expressions()))
    assert asked <= known
    # And all there is is shown.
    assert {name for name in known if name.startswith("oasis_data_")} - asked <= {
        "oasis_data_operation_seconds_sum",
        "oasis_data_operation_seconds_count",
    }


def test_kinds_in_alerts_are_exceptions() -> None:
    text = (MONITORING / "rules.yml").read_text() + " ".join(expressions())
    kinds = {
        kind for kinds in re.findall(r'kind!?[=~]+"([^"]+)"', text) for kind in kinds.split("|")
    }

    assert kinds
    assert kinds <= set(oasis_data.__all__)


def test_panels_are_whole_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        own = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not own & places
        places |= own
    variables = {each["name"] for each in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(panels)))
    assert used <= variables


OPTIONS = {"stat": {"reduceOptions", "colorMode"}, "timeseries": {"legend", "tooltip"}}


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    board = dashboard()
    assert board["title"]
    assert re.fullmatch(r"[\w-]{1,40}", board["uid"])
    assert board["schemaVersion"] >= 36  # from where a data source is an object
    assert "id" not in board  # the importing Grafana's to give
    source, *others = board["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for variable in others:
        assert variable["type"] == "query"
        assert variable["datasource"] == chosen
        assert variable["query"]["query"] == variable["definition"]
    for panel in board["panels"]:
        assert panel["options"].keys() >= OPTIONS[panel["type"]]
        assert panel["fieldConfig"].keys() == {"defaults", "overrides"}
        letters = [target["refId"] for target in panel["targets"]]
        assert letters
        assert len(set(letters)) == len(letters)
        assert all(each["datasource"] == chosen for each in [panel, *panel["targets"]])
        assert all(target["expr"] for target in panel["targets"])


def test_queries_of_the_dashboard_are_promql(promtool: str, tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel:{number}",
            "expr": expression.replace("$__rate_interval", "5m"),
        }
        for number, expression in enumerate(expressions())
    ]
    # JSON is YAML.
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    checked = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_alerts_pass_promtool(promtool: str) -> None:
    for arguments in (["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run(
            [promtool, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_can_be_silent() -> None:
    rules = (MONITORING / "rules.yml").read_text()
    tests = (MONITORING / "rules_test.yml").read_text()
    for alert in re.findall(r"- alert: (\w+)", rules):
        expected = re.findall(
            rf"alertname: {alert}\n\s+eval_time: \w+\n\s+exp_alerts:( \[\])?", tests
        )
        assert "" in expected, f"{alert} is never seen to fire"
        assert " []" in expected, f"{alert} is never seen to be silent"


def test_exposition_is_one_that_prometheus_takes(promtool: str, tmp_path: Path) -> None:
    path = tmp_path / "tanks.json"
    save_json_atomic(path, 1)
    save_json_atomic(path, 2)
    restore_backup(path)
    clear_all_cache()
    load_many([path])

    body, _ = exposition({"tanks": path})

    ours = b"".join(line for line in body.splitlines(True) if b"oasis_data_" in line)
    checked = subprocess.run([promtool, "check", "metrics"], input=ours, capture_output=True)
    assert checked.returncode == 0, checked.stderr.decode()
