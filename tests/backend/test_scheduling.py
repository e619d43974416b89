"""What a planner may rely on, whatever the data: crude is neither made nor lost, limits hold."""

import copy
import itertools
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from scheduler import (
    Fleet,
    InputError,
    Schedule,
    build_fleet,
    build_schedule,
    run_optimizer,
    run_scheduler,
)

from .conftest import BACKEND

Documents = dict[str, Any]

NEAR = 1e-6
"""Kilobarrels, or days, that sums of floats may differ by."""

FOLDERS = {"sample": BACKEND / "sample_data"}
OASIS_DATA = os.environ.get("OASIS_DATA") or BACKEND.parents[2] / "shared" / "oasis-data"
if Path(OASIS_DATA).is_dir():
    FOLDERS["oasis"] = Path(OASIS_DATA)


def read_documents(folder: Path) -> Documents:
    return {
        path.stem: json.loads(path.read_bytes())
        for part in ("dynamic_data", "static_data")
        for path in (folder / part).glob("*.json")
    }


def make_documents(seed: int) -> Documents:
    """A made-up refinery: a few grades, tanks and vessels, often too many for its limits."""
    chance = random.Random(seed)
    grades = [f"G{n}" for n in range(chance.randint(2, 5))]
    ports = ["North", "South", "East"]
    tanks = {}
    for n in range(chance.randint(1, 6)):
        capacity = chance.uniform(50, 300)
        parts = [chance.random() for _ in range(chance.randint(0, 3))]
        content = [{chance.choice(grades): part * capacity / 3} for part in parts]
        tanks[f"T{n}"] = {"name": f"T{n}", "capacity": capacity, "content": content}
    recipes: Documents = {}
    for n in range(chance.randint(1, 6)):
        primary, secondary = chance.sample(grades, 2)
        pure = chance.random() < 0.3
        recipes[f"R{n}"] = {
            "name": f"R{n}",
            "primary_grade": primary,
            "secondary_grade": None if pure else secondary,
            "primary_fraction": 1 if pure else chance.uniform(0, 1),
            "max_rate": chance.uniform(0, 120),
        }
    requirements = []
    for _ in range(chance.randint(0, 12)):
        first = chance.randint(0, 30)
        requirements.append(
            {
                "grade": chance.choice(grades),
                "origin": chance.choice([*ports, "Nowhere"]),
                "volume": chance.uniform(0, 900),
                "allowed_ldr": {str(first): first + chance.randint(0, 4)},
                "required_arrival_by": first + chance.randint(1, 10),
            }
        )
    hops = [("North", "Refinery"), ("South", "North"), ("South", "Refinery"), ("Refinery", "East")]
    return {
        "tanks": tanks,
        "recipes": recipes,
        "crudes": {grade: {"margin": chance.uniform(0, 20)} for grade in grades},
        "plant": {
            "capacity": chance.uniform(50, 150),
            "base_crude_capacity": chance.uniform(20, 100),
            "max_inventory": chance.uniform(100, 1500),
        },
        "feedstock_requirements": requirements,
        "feedstock_parcels": {},
        "vessel_types": [
            {"name": f"V{n}", "capacity": chance.uniform(0, 700), "cost": chance.randint(1, 9)}
            for n in range(chance.randint(0, 3))
        ],
        "routes": {
            f"{a}_{b}": {"from": a, "to": b, "time_travel": chance.choice([1, 2.5, 4])}
            for a, b in hops
        },
        "vessels": {},
        "vessel_routes": {},
    }


def optimize(documents: Documents, **options: int) -> Fleet:
    return build_fleet(
        requirements=documents["feedstock_requirements"],
        vessel_types=documents["vessel_types"],
        routes=documents["routes"],
        vessels=documents["vessels"],
        vessel_routes=documents["vessel_routes"],
        parcels=documents["feedstock_parcels"],
        **options,
    )


def schedule(documents: Documents, **options: int) -> Schedule:
    return build_schedule(
        tanks=documents["tanks"],
        recipes=documents["recipes"],
        crudes=documents["crudes"],
        plant=documents["plant"],
        vessels=documents["vessels"],
        **options,
    )


@pytest.fixture(params=[*FOLDERS, *range(40)])
def documents(request: pytest.FixtureRequest) -> Documents:
    if request.param in FOLDERS:
        return read_documents(FOLDERS[request.param])
    return make_documents(request.param)


@pytest.fixture
def supplied(documents: Documents) -> Documents:
    """The documents with the vessels that the optimizer hires for them."""
    fleet = optimize(documents)
    return documents | {"vessels": fleet.vessels, "vessel_routes": fleet.vessel_routes}


@pytest.fixture
def sample() -> Documents:
    return read_documents(FOLDERS["sample"])


def add(totals: dict[str, float], grade: str, volume: float) -> None:
    totals[grade] = totals.get(grade, 0.0) + volume


def sum_tanks(tanks: Documents) -> dict[str, float]:
    totals: dict[str, float] = {}
    for tank in tanks.values():
        for layer in tank["content"]:
            for grade, volume in layer.items():
                add(totals, grade, volume)
    return totals


def sum_used(plan: Documents) -> dict[str, float]:
    """The kilobarrels of each grade that a day's blends are made of."""
    used: dict[str, float] = {}
    for blend in plan["blending_details"]:
        rate = plan["processing_rates"][blend["name"]]
        add(used, blend["primary_grade"], rate * blend["primary_fraction"])
        if blend["secondary_grade"] is not None:
            add(used, blend["secondary_grade"], rate * (1 - blend["primary_fraction"]))
    return used


def test_crude_is_neither_made_nor_lost(supplied: Documents) -> None:
    result = schedule(supplied)
    start, used = sum_tanks(supplied["tanks"]), dict[str, float]()
    cargoes = [
        (vessel["arrival_day"], lot["grade"], lot["volume"])
        for vessel in supplied["vessels"].values()
        for lot in vessel["cargo"]
    ]
    landed: dict[str, float] = {}
    for plan in result.document["daily_plans"]:
        for grade, volume in sum_used(plan).items():
            add(used, grade, volume)
        for grade in {*start, *used, *plan["inventory_by_grade"]}:
            in_store = plan["inventory_by_grade"].get(grade, 0.0)
            so_far = in_store + used.get(grade, 0.0) - start.get(grade, 0.0)
            arrived = sum(v for day, g, v in cargoes if g == grade and day <= plan["day"])
            # What left a vessel stays landed, and nothing lands before it has arrived.
            assert landed.get(grade, 0.0) - NEAR <= so_far <= arrived + NEAR
            landed[grade] = so_far
    for grade in {grade for _, grade, _ in cargoes}:
        aboard = sum(cargo.volume for cargo in result.waiting if cargo.grade == grade)
        sent = sum(volume for _, g, volume in cargoes if g == grade)
        assert landed.get(grade, 0.0) + aboard == pytest.approx(sent, abs=NEAR)


def test_every_tank_holds_from_nothing_to_its_capacity(supplied: Documents) -> None:
    for plan in schedule(supplied).document["daily_plans"]:
        assert plan["tanks"].keys() == supplied["tanks"].keys()
        for name, tank in plan["tanks"].items():
            volumes = [volume for layer in tank["content"] for volume in layer.values()]
            assert all(volume > 0 for volume in volumes)
            assert sum(volumes) <= supplied["tanks"][name]["capacity"] + NEAR


def test_the_inventory_is_what_the_tanks_hold(supplied: Documents) -> None:
    for plan in schedule(supplied).document["daily_plans"]:
        assert plan["inventory_by_grade"] == pytest.approx(sum_tanks(plan["tanks"]), abs=NEAR)
        total = sum(plan["inventory_by_grade"].values())
        assert plan["inventory"] == pytest.approx(total, abs=NEAR)


def test_the_plant_keeps_its_limits(supplied: Documents) -> None:
    plant = supplied["plant"]
    starts = [recipe["primary_grade"] for recipe in supplied["recipes"].values()]
    base = min(set(starts), key=lambda grade: (-starts.count(grade), grade))
    before = sum(sum_tanks(supplied["tanks"]).values())
    for plan in schedule(supplied).document["daily_plans"]:
        rates = plan["processing_rates"]
        assert all(0 < rate <= supplied["recipes"][n]["max_rate"] for n, rate in rates.items())
        assert sum(rates.values()) <= plant["capacity"] + NEAR
        assert sum_used(plan).get(base, 0.0) <= plant["base_crude_capacity"] + NEAR
        # A store that is too full to begin with may only shrink.
        assert plan["inventory"] <= max(plant["max_inventory"], before) + NEAR
        before = plan["inventory"]


def test_each_day_says_how_it_was_blended_and_what_it_earns(supplied: Documents) -> None:
    plans = schedule(supplied).document["daily_plans"]
    assert [plan["day"] for plan in plans] == list(range(1, 32))
    margins = {grade: crude["margin"] for grade, crude in supplied["crudes"].items()}
    for plan in plans:
        names = [blend["name"] for blend in plan["blending_details"]]
        assert names == list(plan["processing_rates"])
        for blend in plan["blending_details"]:
            recipe = supplied["recipes"][blend["name"]]
            assert {key: blend[key] for key in recipe if key != "name"} == {
                key: recipe[key] for key in recipe if key != "name"
            }
        earned = sum(margins[grade] * volume for grade, volume in sum_used(plan).items())
        assert plan["daily_margin"] == pytest.approx(earned)
        assert plan["daily_margin"] == pytest.approx(
            sum(blend["total_margin"] for blend in plan["blending_details"])
        )


def test_plans_repeat_and_leave_the_documents_alone(documents: Documents) -> None:
    before = copy.deepcopy(documents)
    fleet = optimize(documents)
    supplied = documents | {"vessels": fleet.vessels}
    result = schedule(supplied)
    assert documents == before
    # As text, so that the order of keys counts too.
    assert json.dumps(optimize(before).vessels) == json.dumps(fleet.vessels)
    again = schedule(copy.deepcopy(supplied))
    assert json.dumps(again.document) == json.dumps(result.document)
    assert again.waiting == result.waiting


def test_required_crude_is_brought_or_reported(documents: Documents) -> None:
    fleet = optimize(documents)
    booked = find_booked(documents)
    required: dict[str, float] = {}
    accounted: dict[str, float] = {}
    for need in documents["feedstock_requirements"]:
        add(required, need["grade"], need["volume"])
        add(accounted, need["grade"], 0.0)
    for vessel_id, vessel in fleet.vessels.items():
        for lot in vessel["cargo"] if vessel_id not in booked else []:
            add(accounted, lot["grade"], lot["volume"])
    for short in fleet.unmet:
        assert short["volume"] > 0
        add(accounted, short["grade"], short["volume"])
    assert accounted == pytest.approx(required, abs=NEAR)


def test_vessels_keep_to_capacity_windows_and_routes(documents: Documents) -> None:
    fleet = optimize(documents)
    booked = find_booked(documents)
    travel = {
        (route["from"], route["to"]): route["time_travel"] for route in documents["routes"].values()
    }
    capacities = {kind["capacity"] for kind in documents["vessel_types"]}
    for vessel_id, vessel in fleet.vessels.items():
        if vessel_id in booked:
            continue
        assert vessel["vessel_id"] == vessel_id
        assert vessel["capacity"] in capacities
        assert sum(lot["volume"] for lot in vessel["cargo"]) <= vessel["capacity"] + NEAR
        legs = vessel["route"]
        for lot in vessel["cargo"]:
            assert lot["loading_end_day"] > lot["loading_start_day"]
            assert lot["loading_end_day"] <= legs[0]["day_start_travel"]
            assert legs[0]["from"] == lot["origin"]
            assert any(
                meets(need, lot, vessel["arrival_day"])
                for need in documents["feedstock_requirements"]
            )
        for leg in legs:
            assert leg["travel_days"] == travel[leg["from"], leg["to"]]
            assert leg["day_end_travel"] == leg["day_start_travel"] + leg["travel_days"]
        for leg, after in itertools.pairwise(legs):
            assert after["from"] == leg["to"]
            assert after["day_start_travel"] == leg["day_end_travel"]
        assert legs[-1]["to"] == "Refinery"
        assert legs[-1]["day_end_travel"] == vessel["arrival_day"]


def meets(need: Documents, lot: Documents, arrival_day: float) -> bool:
    """Whether a lot may be part of what was required."""
    return (
        need["grade"] == lot["grade"]
        and need["origin"] == lot["origin"]
        and arrival_day <= need["required_arrival_by"]
        and any(
            int(first) <= lot["loading_start_day"] <= last
            for first, last in need["allowed_ldr"].items()
        )
    )


def find_booked(documents: Documents) -> set[str]:
    return {parcel["vessel_id"] for parcel in documents["feedstock_parcels"].values()} - {None}


def test_routes_tell_where_each_vessel_is_every_day(documents: Documents) -> None:
    fleet = optimize(documents)
    assert fleet.vessel_routes.keys() == fleet.vessels.keys()
    for vessel_id, route in fleet.vessel_routes.items():
        legs = fleet.vessels[vessel_id]["route"]
        assert route["start_location"] == legs[0]["from"]
        days = list(route["days"])
        assert days == [str(day) for day in range(len(days))]
        for day, location in enumerate(route["days"].values()):
            under_way = [
                f"en_route_to_{leg['to']}"
                for leg in legs
                if leg["day_start_travel"] <= day < leg["day_end_travel"]
            ]
            ashore = legs[0]["from"] if day < legs[0]["day_start_travel"] else "Refinery"
            assert [location] == (under_way or [ashore])
        assert location == "Refinery"


def test_the_sample_shows_each_way_to_fall_short(sample: Documents) -> None:
    reasons = {short["id"]: short["reason"] for short in optimize(sample).unmet}
    assert reasons == {
        "Hasty_petrel": "cannot arrive in time",
        "Far_gannet": "no route to the refinery",
    }
    reasons = {short["id"]: short["reason"] for short in optimize(sample, max_vessels=2).unmet}
    assert reasons["Bulk_tern"] == "no vessel is left"
    # The one without an id goes by its place in the list.
    assert reasons["Requirement_003"] == "no vessel is left"


def test_a_booked_vessel_stays_as_it_is(sample: Documents) -> None:
    fleet = optimize(sample, max_vessels=0)
    assert fleet.vessels == {"Charter_1": sample["vessels"]["Charter_1"]}
    assert fleet.vessel_routes == {"Charter_1": sample["vessel_routes"]["Charter_1"]}
    assert len(optimize(sample, max_vessels=3).vessels) == 3
    sample["feedstock_parcels"]["Lot_B"]["vessel_id"] = "Vessel_1"
    fleet = optimize(sample, max_vessels=4)
    assert list(fleet.vessels) == ["Charter_1", "Vessel_1", "Vessel_0", "Vessel_2"]
    assert fleet.vessels["Vessel_1"] == sample["vessels"]["Vessel_1"]


def test_a_load_that_fits_nowhere_waits_aboard(sample: Documents) -> None:
    sample["vessels"] = {
        "Big": {"arrival_day": 2.5, "cargo": [{"grade": "Tern", "volume": 5000}]},
    }
    result = schedule(sample, days=3)
    second, third = result.document["daily_plans"][1:]
    assert second["inventory"] < third["inventory"] < sample["plant"]["max_inventory"]
    assert [(cargo.vessel_id, cargo.grade) for cargo in result.waiting] == [("Big", "Tern")]
    assert 0 < result.waiting[0].volume < 5000


def test_a_better_margin_is_run_first(sample: Documents) -> None:
    for grade, crude in sample["crudes"].items():
        crude["margin"] = 1000 if grade == "Auk" else 1
    (plan,) = schedule(sample, days=1).document["daily_plans"]
    assert next(iter(plan["processing_rates"])) == "auk"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_results_are_saved_where_the_backend_reads_them(folder: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for part in ("dynamic_data", "static_data", "output"):
        (root / part).mkdir(parents=True)
        for path in (FOLDERS[folder] / part).glob("*.json"):
            shutil.copyfile(path, root / part / path.name)
    fleet = run_optimizer(root)
    result = run_scheduler(root)
    after = read_documents(root)
    assert after["vessels"] == fleet.vessels
    assert after["vessel_routes"] == fleet.vessel_routes
    saved = json.loads((root / "output" / "schedule_results.json").read_bytes())
    assert saved == result.document
    assert any(plan["processing_rates"] for plan in saved["daily_plans"])
    # The vessels hired so far do not pile up.
    assert run_optimizer(root) == fleet


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tanks", []),
        ("tanks", 0),
        ("tanks", {"T": []}),
        ("tanks", {"T": {"capacity": "250", "content": []}}),
        ("tanks", {"T": {"capacity": 250}}),
        ("tanks", {"T": {"capacity": 250, "content": [["Tern", 5]]}}),
        ("tanks", {"T": {"capacity": 250, "content": [{"Tern": -5}]}}),
        ("tanks", {"T": {"capacity": 250, "content": [{"Tern": True}]}}),
        ("tanks", {"T": {"capacity": 250, "content": [{"Tern": float("nan")}]}}),
        ("tanks", {"T": {"capacity": 10**400, "content": []}}),
        ("tanks", {"T": {"capacity": 250, "content": [{"Tern": 251}]}}),
        ("plant", {"capacity": 100}),
        ("recipes", {"R": None}),
        ("recipes", {"R": {"max_rate": 5, "primary_grade": "None", "primary_fraction": 1}}),
        ("recipes", {"R": {"max_rate": 5, "primary_grade": "Tern", "primary_fraction": 0.5}}),
        ("crudes", {"Tern": {}}),
        ("vessels", {"V": {"arrival_day": 1, "cargo": None}}),
        ("vessels", {"V": {"arrival_day": None, "cargo": []}}),
    ],
)
def test_a_schedule_needs_fit_documents(sample: Documents, name: str, content: object) -> None:
    with pytest.raises(InputError, match=name):
        schedule(sample | {name: content})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("feedstock_requirements", {}),
        ("feedstock_requirements", [{"grade": "Tern"}]),
        ("routes", {"R": {"from": "North", "to": None, "time_travel": 1}}),
        ("routes", {"R": {"from": "North", "to": "South", "time_travel": -1}}),
        ("vessel_types", [{"name": "V", "capacity": 1}]),
        ("vessels", [1]),
        ("vessel_routes", "x"),
        ("feedstock_parcels", {"P": {"vessel_id": ["V"]}}),
    ],
)
def test_a_fleet_needs_fit_documents(sample: Documents, name: str, content: object) -> None:
    with pytest.raises(InputError, match=name):
        optimize(sample | {name: content})


@pytest.mark.parametrize("window", [{"-1": 3}, {"1.5": 3}, {"x": 3}, {"²": 3}, {"1": None}, [1], 4])
def test_a_loading_window_is_in_whole_days(sample: Documents, window: object) -> None:
    sample["feedstock_requirements"][0]["allowed_ldr"] = window
    with pytest.raises(InputError, match="allowed_ldr"):
        optimize(sample)


def test_a_window_without_end_costs_no_endless_work(sample: Documents) -> None:
    sample["feedstock_requirements"][0] |= {"allowed_ldr": {"0": 1e9}, "required_arrival_by": 1e9}
    assert optimize(sample).unmet == optimize(sample).unmet
    sample["routes"]["Ostrand_Refinery"]["time_travel"] = 1e9
    assert "Spring_tern" in {short["id"] for short in optimize(sample).unmet}


@pytest.mark.parametrize("days", [0, -1, 367, 10**30])
def test_a_plan_has_days(sample: Documents, days: int) -> None:
    with pytest.raises(InputError, match="days"):
        schedule(sample, days=days)
    if days:
        with pytest.raises(InputError, match="max_vessels"):
            optimize(sample, max_vessels=days)
