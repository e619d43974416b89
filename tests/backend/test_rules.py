"""The example's schemas and references, held against its data and what its planners write."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonpath
import jsonschema_rs
import pytest
from api import DATA_FILES, create_app
from flask.testing import FlaskClient
from run import put_rules

from .conftest import BACKEND
from .test_scheduling import make_documents, optimize, schedule

Documents = dict[str, Any]

tomllib = import_module("tomllib" if find_spec("tomllib") else "tomli")
RULES = tomllib.loads((BACKEND / "oasis-data.toml").read_text())


def validator(data_type: str) -> Any:
    schema = BACKEND / RULES["documents"][DATA_FILES[data_type]]["schema"]
    return jsonschema_rs.Draft202012Validator(
        json.loads(schema.read_bytes()),
        base_uri=schema.as_uri(),
        retriever=lambda uri: json.loads(Path(uri.removeprefix("file://")).read_bytes()),
    )


VALIDATORS = {data_type: validator(data_type) for data_type in DATA_FILES}


def faults(data_type: str, document: object) -> list[str]:
    return [str(error) for error in VALIDATORS[data_type].iter_errors(document)]


def values(documents: Documents, end: str) -> list[Any]:
    """What one end of a reference names."""
    file, _, path = end.partition("#")
    (data_type,) = (each for each, name in DATA_FILES.items() if name == file)
    return jsonpath.findall(path, documents[data_type])


def dangling(documents: Documents) -> list[tuple[str, Any]]:
    return [
        (reference["from"], value)
        for reference in RULES["references"]
        for value in values(documents, reference["from"])
        if value not in values(documents, reference["to"])
    ]


@pytest.fixture
def sample() -> Documents:
    return {
        data_type: json.loads((BACKEND / "sample_data" / name).read_bytes())
        for data_type, name in DATA_FILES.items()
    }


def test_each_document_has_a_schema_of_its_name(sample: Documents) -> None:
    named = {
        name: Path(document["schema"]).name.removesuffix(".schema.json")
        for name, document in RULES["documents"].items()
    }
    assert named == {name: data_type for data_type, name in DATA_FILES.items()}
    for schema in (BACKEND / "schemas").iterdir():
        jsonschema_rs.meta.validate(json.loads(schema.read_bytes()))


@pytest.mark.parametrize("data_type", DATA_FILES)
def test_the_sample_obeys_its_schema(sample: Documents, data_type: str) -> None:
    assert faults(data_type, sample[data_type]) == []


def test_the_sample_s_references_lead_somewhere(sample: Documents) -> None:
    assert dangling(sample) == []
    for reference in RULES["references"]:
        assert values(sample, reference["from"]), reference


def test_the_sample_has_what_its_planners_write(sample: Documents) -> None:
    planned = schedule(sample, days=len(sample["schedule"]["daily_plans"]))
    assert planned.document == sample["schedule"]
    fleet = optimize(as_planned_with(sample))
    assert (fleet.vessels, fleet.vessel_routes) == (sample["vessels"], sample["vessel_routes"])


def as_planned_with(documents: Documents) -> Documents:
    """The documents by the names that the tests of the planners have."""
    return {Path(DATA_FILES[data_type]).stem: each for data_type, each in documents.items()}


@pytest.mark.parametrize("seed", range(40))
def test_what_the_planners_write_obeys(seed: int) -> None:
    documents = make_documents(seed)
    fleet = optimize(documents)
    planned = schedule(documents | {"vessels": fleet.vessels}, days=366 if seed == 0 else 31)
    assert faults("vessels", fleet.vessels) == []
    assert faults("vessel_routes", fleet.vessel_routes) == []
    assert faults("schedule", planned.document) == []


@pytest.mark.parametrize("most", range(13))
def test_what_the_optimizer_writes_refers_to_what_there_is(sample: Documents, most: int) -> None:
    fleet = optimize(as_planned_with(sample), max_vessels=most)
    after = sample | {"vessels": fleet.vessels, "vessel_routes": fleet.vessel_routes}
    assert dangling(after) == []


def changed(document: Any, place: list[Any], value: Any) -> Any:
    """The document with another value at a place; without it for `...`."""
    document = copy.deepcopy(document)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return document


FAULTS: list[tuple[str, list[Any], Any]] = [
    ("tanks", ["North1", "capacity"], -1),
    ("tanks", ["North1", "capacity"], "300"),
    ("tanks", ["North1", "capacity"], True),
    ("tanks", ["North1", "capasity"], 300),
    ("tanks", ["North1", "content"], ...),
    ("tanks", ["North1", "content", 0, "Tern"], -5),
    ("tanks", ["North1", "content", 0, "Dunlin"], 5),
    ("tanks", ["North1", "content", 0], {}),
    ("tanks", ["North1", "content"], {"Tern": 240}),
    ("vessels", ["Vessel_0", "arrival_day"], None),
    ("vessels", ["Vessel_0", "arrival_day"], 367),
    ("vessels", ["Vessel_0", "cargo", 0, "volume"], "380"),
    ("vessels", ["Vessel_0", "cargo", 0, "loading_start_day"], 2.5),
    ("vessels", ["Vessel_0", "route", 0, "action"], "drift"),
    ("vessel_routes", ["Vessel_0", "days", "01"], "Ostrand"),
    ("vessel_routes", ["Vessel_0", "days", "367"], "Ostrand"),
    ("vessel_routes", ["Vessel_0", "days", "0"], ""),
    ("feedstock_parcels", ["Lot_A", "vessel_id"], ["Charter_1"]),
    ("feedstock_parcels", ["Lot_A", "vessel_id"], ...),
    ("feedstock_parcels", ["Lot_A", "ldr", "-1"], 3),
    ("feedstock_requirements", [0, "allowed_ldr"], {}),
    ("feedstock_requirements", [0, "allowed_ldr", "1"], 1e9),
    ("feedstock_requirements", [0, "id"], ""),
    ("crudes", ["Tern", "margin"], ...),
    ("plant", ["capacity"], 1e10),
    ("plant", ["max_inventory"], ...),
    ("recipes", ["light", "primary_fraction"], 1.1),
    ("recipes", ["plain", "primary_fraction"], 0.5),
    ("recipes", ["light", "secondary_grade"], ""),
    ("routes", ["Holm_Skerry", "time_travel"], -1),
    ("routes", ["Holm_Skerry", "to"], None),
    ("vessel_types", [0, "cost"], ...),
    ("schedule", ["daily_plans"], {}),
    ("schedule", ["daily_plans", 0, "day"], 367),
    ("schedule", ["daily_plans", 0, "tanks", "North1", "capacity"], "300"),
    ("schedule", ["daily_plans", 0, "blending_details", 0, "margin"], None),
]


@pytest.mark.parametrize(("data_type", "place", "value"), FAULTS)
def test_what_is_no_such_document_is_refused(
    sample: Documents, data_type: str, place: list[Any], value: Any
) -> None:
    assert len(faults(data_type, changed(sample[data_type], place, value))) == 1


@pytest.mark.parametrize("data_type", DATA_FILES)
def test_no_document_is_of_another_type(data_type: str) -> None:
    for other in (None, 0, "", True):
        assert faults(data_type, other)


def rename(data_type: str, name: str) -> Callable[[Documents], None]:
    def act(documents: Documents) -> None:
        documents[data_type]["renamed"] = documents[data_type].pop(name)

    return act


@pytest.mark.parametrize(
    ("act", "users"),
    [
        (rename("crudes", "Auk"), {"tanks", "feedstock_parcels", "recipes", "vessels"}),
        (rename("crudes", "Gannet"), {"feedstock_requirements", "recipes"}),
        (rename("vessels", "Charter_1"), {"feedstock_parcels", "vessel_routes"}),
        (rename("vessels", "Vessel_0"), {"vessel_routes"}),
        (
            lambda documents: documents["routes"].pop("Refinery_Far"),
            {"crudes", "feedstock_requirements"},
        ),
    ],
)
def test_what_is_used_is_missed(
    sample: Documents, act: Callable[[Documents], None], users: set[str]
) -> None:
    act(sample)
    files = {file.partition("#")[0] for file, _ in dangling(sample)}
    assert {DATA_FILES[user] for user in users} <= files


@pytest.fixture
def client(root: Path) -> FlaskClient:
    """A client of the example with its rules in force."""
    put_rules(root)
    return create_app(root).test_client()


# Each document after those that it refers to.
ORDER = [
    *("routes", "crudes", "recipes", "plant", "vessel_types", "tanks", "vessels", "vessel_routes"),
    *("feedstock_parcels", "feedstock_requirements", "schedule"),
]


def test_the_sample_can_be_entered(client: FlaskClient, root: Path, sample: Documents) -> None:
    for name in DATA_FILES.values():
        (root / name).unlink()
    assert client.put("/api/data/crudes", json=sample["crudes"]).status_code == 422
    for data_type in ORDER:
        answer = client.put(f"/api/data/{data_type}", json=sample[data_type])
        assert answer.status_code == 200, data_type
    assert client.get("/api/data").get_json() == sample


@pytest.mark.parametrize(("data_type", "place", "value"), FAULTS)
def test_the_backend_refuses_it_too(
    client: FlaskClient, sample: Documents, data_type: str, place: list[Any], value: Any
) -> None:
    document = changed(sample[data_type], place, value)
    answer = client.put(f"/api/data/{data_type}", json=document)
    assert answer.status_code == 422
    assert {each["document"] for each in answer.get_json()["faults"]} == {
        Path(DATA_FILES[data_type]).name
    }
    assert client.get(f"/api/data/{data_type}").get_json() == sample[data_type]


def test_the_backend_keeps_what_is_used(client: FlaskClient, sample: Documents) -> None:
    patch = {"data": '{"Auk": null}', "content_type": "application/merge-patch+json"}
    users = {
        f"{each}.json"
        for each in ("tanks", "feedstock_parcels", "feedstock_requirements", "vessels", "recipes")
    }
    for answer in (client.patch("/api/data/crudes", **patch), client.delete("/api/data/crudes")):
        assert answer.status_code == 422
        assert {each["document"] for each in answer.get_json()["faults"]} >= users
    assert client.get("/api/data/crudes").get_json() == sample["crudes"]


def test_the_planners_obey(client: FlaskClient, sample: Documents) -> None:
    assert client.post("/api/scheduler/run", json={"days": 366}).status_code == 200
    for most in range(13):
        address, body = "/api/vessel-optimizer/optimize", {"max_vessels": most}
        assert client.post(address, json=body).status_code == 200
    # The scheduler's own words where a document is fit for the schema, and not for a plan.
    tanks = changed(sample["tanks"], ["North1", "content", 0, "Tern"], 301)
    assert client.put("/api/data/tanks", json=tanks).status_code == 200
    answer = client.post("/api/scheduler/run")
    assert (answer.status_code, answer.get_json()["error"]) == (
        422,
        "tanks.North1.content: more than the capacity",
    )
