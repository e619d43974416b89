"""Rules in an app: 422 with all faults, and nothing that a client must not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from oasis_data import configure, save_json_atomic
from tests.flask_extension.applications import make_app, put
from tests.rules.documents import TANKS, TANKS_SCHEMA, write

# The root can lie in a store; the rules are files.
RULES = """
[documents."{root}/dynamic/tanks.json"]
schema = "schemas/tanks.schema.json"

[[references]]
from = "{root}/dynamic/tanks.json#$.*.content[*].~"
to = "{root}/plant.json#$.grades[*]"
"""
BAD = {"T": {"content": [{"Base": -1}, {"Sour": 2}], "colour": 3}}


@pytest.fixture
def rules(root: Path, tmp_path: Path) -> Path:
    save_json_atomic(root / "plant.json", {"grades": ["Base", "Light"]})
    write(tmp_path, "rules/schemas/tanks.schema.json", TANKS_SCHEMA)
    return write(tmp_path, "rules/oasis-data.toml", RULES.replace("{root}", str(root)))


@pytest.fixture
def client(root: Path, rules: Path) -> FlaskClient:
    return make_app(root, OASIS_DATA_RULES=str(rules)).test_client()


def test_a_document_that_disobeys_is_answered_with_all_faults(
    client: FlaskClient, root: Path
) -> None:
    assert put(client, TANKS).status_code == 200

    answer = put(client, BAD)

    assert answer.status_code == 422
    body: dict[str, Any] = answer.get_json()
    assert body["error"] == (
        "Not saved: tanks.json: $.T.content[0].Base: -1 is less than the minimum of 0; "
        "2 more faults"
    )
    assert body["success"] is False
    assert body["details"]["error_type"] == "InvalidDocumentError"
    rule = "tanks.schema.json#/additionalProperties"
    assert sorted(body["faults"], key=lambda fault: str(fault["place"])) == [
        {
            "document": "tanks.json",
            "place": "$.T.colour",
            "rule": f"{rule}/additionalProperties",
            "message": "$.T.colour: Additional properties are not allowed",
        },
        {
            "document": "tanks.json",
            "place": "$.T.content[0].Base",
            "rule": f"{rule}/properties/content/items/additionalProperties/minimum",
            "message": "$.T.content[0].Base: -1 is less than the minimum of 0",
        },
        {
            "document": "tanks.json",
            "place": "$.T.content[1].Sour",
            "rule": "tanks.json#$.*.content[*].~ -> plant.json#$.grades[*]",
            "message": '$.T.content[1].Sour: "Sour" is not among plant.json#$.grades[*]',
        },
    ]
    assert str(root) not in answer.text
    assert client.get("/data/tanks").get_json() == TANKS


def test_a_reference_is_told_both_ways(client: FlaskClient) -> None:
    put(client, TANKS)

    for answer in (
        put(client, {"T": {"content": [{"Sour": 1}]}}),
        client.put("/data/plant", json={"grades": ["Base"]}),
        client.delete("/data/plant"),
    ):
        assert answer.status_code == 422
        assert answer.get_json()["faults"][0]["document"] == "tanks.json"
    assert client.get("/data/plant").get_json() == {"grades": ["Base", "Light"]}


def test_a_patch_obeys(client: FlaskClient) -> None:
    put(client, TANKS)

    answer = client.patch(
        "/data/tanks",
        json={"Tank1": {"capacity": 501}},
        content_type="application/merge-patch+json",
    )

    assert answer.status_code == 422
    assert answer.get_json()["faults"][0]["place"] == "$.Tank1.capacity"


def test_values_are_masked_where_the_app_wants_it(root: Path, rules: Path) -> None:
    app = make_app(root, OASIS_DATA_RULES=rules, OASIS_DATA_MASK_VALUES=True)

    answer = put(app.test_client(), {"T": {"content": [{"Base": -4711}]}})

    assert answer.status_code == 422
    assert "4711" not in answer.text
    assert "*** is less than the minimum of 0" in answer.text


def test_rules_that_are_broken_are_an_error_of_the_server(
    client: FlaskClient, rules: Path, root: Path
) -> None:
    put(client, TANKS)
    rules.write_text("[documents")

    answer = put(client, TANKS | {"New": {"content": []}})

    assert answer.status_code == 500
    assert answer.get_json()["error"].startswith("Not saved: the rules of the document cannot be")
    assert str(root) not in answer.text
    assert client.get("/data/tanks").get_json() == TANKS


def test_settings_come_from_the_config(root: Path, rules: Path) -> None:
    make_app(root, OASIS_DATA_RULES=rules, OASIS_DATA_RULES_GRANDFATHERED=True)

    settings = configure()
    assert settings["rules"] == str(rules)
    assert settings["rules_grandfathered"] is True
