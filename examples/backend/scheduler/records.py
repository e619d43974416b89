"""Typed records, read from the JSON documents that the editor saves.

The editor stores whatever a user typed, so nothing is taken on trust here: a document that
cannot be planned with raises `InputError`, which names the field and shows no value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

HORIZON_DAYS = 366
"""No plan looks further ahead, so a typing error in a day cannot ask for endless work."""

LARGEST = 1e9
"""No refinery has a figure above it, and sums and products of smaller ones stay finite."""


class InputError(ValueError):
    """A document lacks something that planning needs; the message says which field."""


@dataclass
class Tank:
    """A tank: its room in kilobarrels, and the kilobarrels of each grade in it."""

    name: str
    capacity: float
    content: dict[str, float]

    @property
    def room(self) -> float:
        """Kilobarrels that still fit."""
        return max(0.0, self.capacity - sum(self.content.values()))


@dataclass(frozen=True)
class Recipe:
    """What a blend is made of; `shares` maps each grade to its fraction, and sums to 1."""

    name: str
    max_rate: float
    primary_grade: str
    secondary_grade: str | None
    primary_fraction: float
    margin: float

    @property
    def shares(self) -> dict[str, float]:
        """The fraction of each grade in a barrel of the blend."""
        if self.secondary_grade is None:
            return {self.primary_grade: 1.0}
        return {
            self.primary_grade: self.primary_fraction,
            self.secondary_grade: 1.0 - self.primary_fraction,
        }


@dataclass(frozen=True)
class Plant:
    """Limits of the plant: kilobarrels a day in all and of base crude, kilobarrels in store."""

    capacity: float
    base_crude_capacity: float
    max_inventory: float


@dataclass
class Cargo:
    """Kilobarrels of one grade aboard a vessel, and the day (may be 14.5) they arrive."""

    vessel_id: str
    grade: str
    volume: float
    arrival_day: float


@dataclass(frozen=True)
class Requirement:
    """Kilobarrels of a grade to be lifted at a place.

    Loading may start on any of `loading_days`; the refinery needs the crude by day
    `required_arrival_by`.
    """

    name: str
    grade: str
    volume: float
    origin: str
    loading_days: frozenset[int]
    required_arrival_by: float


@dataclass(frozen=True)
class VesselType:
    """A kind of vessel for hire: kilobarrels it carries, dollars for a voyage."""

    name: str
    capacity: float
    cost: float


def read_object(value: object, where: str) -> Mapping[str, object]:
    """Returns `value` if it is an object, or raises `InputError`."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object")
    return value


def read_list(value: object, where: str) -> list[object]:
    """Returns `value` if it is a list, or raises `InputError`."""
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list")
    return value


def read_number(record: Mapping[str, object], key: str, where: str) -> float:
    """Returns a number from 0 to `LARGEST`, or raises `InputError`."""
    value = record.get(key)
    # `True` is an int to Python, and a tank that holds `true` barrels is a mistake.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}.{key}: expected a number")
    if not 0 <= value <= LARGEST:
        raise InputError(f"{where}.{key}: expected a number from 0 to {LARGEST:.0f}")
    return float(value)


def read_text(record: Mapping[str, object], key: str, where: str) -> str:
    """Returns a string that is not empty, or raises `InputError`."""
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}.{key}: expected a name")
    return value


def read_tanks(document: object) -> list[Tank]:
    """Reads `tanks`; a tank's content is a list of objects of one grade each.

    Raises:
        InputError: A field is missing or unfit, or a tank holds more than fits.
    """
    tanks = []
    for name, value in read_object(document, "tanks").items():
        where = f"tanks.{name}"
        record = read_object(value, where)
        content: dict[str, float] = {}
        for layer in read_list(record.get("content"), f"{where}.content"):
            grades = read_object(layer, f"{where}.content")
            for grade in grades:
                volume = read_number(grades, grade, f"{where}.content")
                content[grade] = content.get(grade, 0.0) + volume
        tank = Tank(name, read_number(record, "capacity", where), content)
        if sum(content.values()) > tank.capacity + 1e-6:
            raise InputError(f"{where}.content: more than the capacity")
        tanks.append(tank)
    return tanks


def read_recipes(document: object, crudes: object) -> list[Recipe]:
    """Reads `recipes`, and prices a barrel of each by the margins in `crudes`.

    Raises:
        InputError: A field is missing or unfit, or a recipe uses a crude that is not listed.
    """
    margins = {}
    for grade, value in read_object(crudes, "crudes").items():
        margins[grade] = read_number(read_object(value, f"crudes.{grade}"), "margin", "crudes")
    recipes = []
    for name, value in read_object(document, "recipes").items():
        where = f"recipes.{name}"
        record = read_object(value, where)
        primary = read_text(record, "primary_grade", where)
        secondary = None
        if record.get("secondary_grade") is not None:
            secondary = read_text(record, "secondary_grade", where)
        fraction = read_number(record, "primary_fraction", where)
        if fraction > 1 or (secondary is None and fraction != 1) or secondary == primary:
            raise InputError(f"{where}: the two grades must differ and make up one barrel")
        try:
            margin = fraction * margins[primary]
            if secondary is not None:
                margin += (1 - fraction) * margins[secondary]
        except KeyError:
            raise InputError(f"{where}: a grade is not among the crudes") from None
        rate = read_number(record, "max_rate", where)
        recipes.append(Recipe(name, rate, primary, secondary, fraction, margin))
    return recipes


def read_plant(document: object) -> Plant:
    """Reads `plant`. Raises `InputError` where a limit is missing or unfit."""
    record = read_object(document, "plant")
    keys = ("capacity", "base_crude_capacity", "max_inventory")
    return Plant(*(read_number(record, key, "plant") for key in keys))


def read_cargoes(vessels: object) -> list[Cargo]:
    """Reads what the `vessels` carry, in order of arrival. Raises `InputError`."""
    cargoes = []
    for vessel_id, value in read_object(vessels, "vessels").items():
        where = f"vessels.{vessel_id}"
        record = read_object(value, where)
        day = read_number(record, "arrival_day", where)
        for line in read_list(record.get("cargo"), f"{where}.cargo"):
            lot = read_object(line, f"{where}.cargo")
            grade = read_text(lot, "grade", f"{where}.cargo")
            volume = read_number(lot, "volume", f"{where}.cargo")
            cargoes.append(Cargo(vessel_id, grade, volume, day))
    return sorted(cargoes, key=lambda cargo: (cargo.arrival_day, cargo.vessel_id))


def read_requirements(document: object) -> list[Requirement]:
    """Reads `feedstock_requirements`; one without an id is named by its place in the list.

    Raises:
        InputError: A field is missing or unfit.
    """
    requirements = []
    for number, value in enumerate(read_list(document, "feedstock_requirements"), start=1):
        where = f"feedstock_requirements[{number - 1}]"
        record = read_object(value, where)
        name = f"Requirement_{number:03d}"
        if record.get("id") is not None:
            name = read_text(record, "id", where)
        windows = read_object(record.get("allowed_ldr"), f"{where}.allowed_ldr")
        requirements.append(
            Requirement(
                name=name,
                grade=read_text(record, "grade", where),
                volume=read_number(record, "volume", where),
                origin=read_text(record, "origin", where),
                loading_days=read_loading_days(windows, f"{where}.allowed_ldr"),
                required_arrival_by=read_number(record, "required_arrival_by", where),
            )
        )
    return requirements


def read_loading_days(windows: Mapping[str, object], where: str) -> frozenset[int]:
    """Reads windows such as `{"5": 8}`: loading may start on any day from 5 to 8.

    Raises:
        InputError: A day is not a whole number.
    """
    days: set[int] = set()
    for first in windows:
        # JSON has no integer keys, so the first day of a window arrives as text.
        if not first.isdecimal() or not first.isascii() or len(first) > 9:
            raise InputError(f"{where}: expected whole days")
        last = read_number(windows, first, where)
        days.update(range(int(first), math.floor(min(last, HORIZON_DAYS)) + 1))
    return frozenset(days)


def read_vessel_types(document: object) -> list[VesselType]:
    """Reads `vessel_types`, cheapest first. Raises `InputError`."""
    types = []
    for number, value in enumerate(read_list(document, "vessel_types")):
        where = f"vessel_types[{number}]"
        record = read_object(value, where)
        name = read_text(record, "name", where)
        capacity = read_number(record, "capacity", where)
        types.append(VesselType(name, capacity, read_number(record, "cost", where)))
    return sorted(types, key=lambda kind: (kind.cost, kind.name))


def read_routes(document: object) -> dict[tuple[str, str], float]:
    """Reads `routes` as days of travel by (from, to), one way. Raises `InputError`."""
    legs: dict[tuple[str, str], float] = {}
    for name, value in read_object(document, "routes").items():
        where = f"routes.{name}"
        record = read_object(value, where)
        leg = (read_text(record, "from", where), read_text(record, "to", where))
        days = read_number(record, "time_travel", where)
        legs[leg] = min(days, legs.get(leg, days))
    return legs
