"""The dashboard and the alerts that are made of the metrics."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import oasis_data
from oasis_data import save_json_atomic
from tests.monitoring.samples import scrape

MONITORING = Path(__file__).resolve().parents[2] / "docs" / "monitoring"


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
