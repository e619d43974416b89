"""Which vessels to hire for the crude that the refinery requires, and where they are each day."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .records import (
    HORIZON_DAYS,
    InputError,
    Requirement,
    VesselType,
    read_object,
    read_requirements,
    read_routes,
    read_text,
    read_vessel_types,
)
from .utils import load_dynamic, load_static, save_dynamic

REFINERY = "Refinery"
LOADING_DAYS = 1
DEFAULT_MAX_VESSELS = 12


@dataclass(frozen=True, order=True)
class Leg:
    """A stretch of a voyage, and its days of travel (may be 3.5)."""

    start: str
    end: str
    days: float


@dataclass
class Voyage:
    """A vessel under hire; its loading can start on any of `starts`, which is never empty."""

    vessel_id: str
    kind: VesselType
    origin: str
    legs: list[Leg]
    starts: frozenset[int]
    lots: list[tuple[Requirement, float]] = field(default_factory=list)

    @property
    def room(self) -> float:
        """Kilobarrels that still fit."""
        return self.kind.capacity - sum(volume for _, volume in self.lots)


@dataclass(frozen=True)
class Fleet:
    """The vessels that bring the crude, and what none of them can bring.

    `vessels` and `vessel_routes` have the shape of the files of those names. Each entry of
    `unmet` has `id`, `grade`, `volume` (kilobarrels that are short) and `reason`.
    """

    vessels: dict[str, Any]
    vessel_routes: dict[str, Any]
    unmet: list[dict[str, Any]]


def run_optimizer(root: Path, max_vessels: int = DEFAULT_MAX_VESSELS) -> Fleet:
    """Hires vessels for the documents under `root`, and saves the fleet there.

    Raises:
        InputError: A document, or `max_vessels`, is not fit to plan with.
        DataOperationError: A document could not be read, or the fleet not be saved.
    """
    fleet = build_fleet(
        requirements=load_dynamic(root, "feedstock_requirements"),
        vessel_types=load_static(root, "vessel_types"),
        routes=load_static(root, "routes"),
        vessels=load_dynamic(root, "vessels"),
        vessel_routes=load_dynamic(root, "vessel_routes"),
        parcels=load_dynamic(root, "feedstock_parcels"),
        max_vessels=max_vessels,
    )
    # As one: a crash in between would leave a new fleet on old routes.
    save_dynamic(root, {"vessels": fleet.vessels, "vessel_routes": fleet.vessel_routes})
    return fleet


def build_fleet(
    *,
    requirements: object,
    vessel_types: object,
    routes: object,
    vessels: object,
    vessel_routes: object,
    parcels: object,
    max_vessels: int = DEFAULT_MAX_VESSELS,
) -> Fleet:
    """Hires vessels, the most urgent requirement first; the same documents give the same fleet.

    A requirement shares a vessel that loads at the same place within both windows, or else gets
    the cheapest that holds it. One larger than any vessel is split. A vessel that a parcel is
    booked on stays as it is: its voyage is not ours to change.

    Args:
        requirements: Document: crude to lift, with loading windows and the latest arrivals.
        vessel_types: Document: vessels for hire.
        routes: Document: days of travel, one way.
        vessels: Document: the fleet so far.
        vessel_routes: Document: where the fleet so far is each day.
        parcels: Document: parcels, each with the `vessel_id` it is booked on, or null.
        max_vessels: How many vessels there may be in all, booked ones included.

    Raises:
        InputError: A document, or `max_vessels`, is not fit to plan with.
    """
    if not 0 <= max_vessels <= HORIZON_DAYS:
        raise InputError(f"max_vessels: expected 0 to {HORIZON_DAYS}")
    needs = read_requirements(requirements)
    kinds = read_vessel_types(vessel_types)
    legs = read_routes(routes)
    before, places = read_object(vessels, "vessels"), read_object(vessel_routes, "vessel_routes")
    booked = find_booked(before, parcels)
    free_ids = [f"Vessel_{n}" for n in range(max_vessels) if f"Vessel_{n}" not in booked]
    free_ids = free_ids[: max(0, max_vessels - len(booked))]
    voyages: list[Voyage] = []
    unmet: list[dict[str, Any]] = []
    for need in sorted(needs, key=lambda need: (need.required_arrival_by, need.name)):
        path = find_path(legs, need.origin)
        starts = feasible_starts(need, path)
        left = need.volume
        if path is None:
            reason = "no route to the refinery"
        elif not starts:
            reason = "cannot arrive in time"
        else:
            left = ship(need, path, starts, kinds, voyages, free_ids)
            reason = "no vessel is left"
        if left > 0:
            unmet.append({"id": need.name, "grade": need.grade, "volume": left, "reason": reason})
    hired = {voyage.vessel_id: voyage for voyage in voyages}
    return Fleet(
        vessels={key: before[key] for key in booked}
        | {key: describe_vessel(voyage) for key, voyage in hired.items()},
        vessel_routes={key: places[key] for key in booked if key in places}
        | {key: describe_places(voyage) for key, voyage in hired.items()},
        unmet=unmet,
    )


def find_booked(vessels: Mapping[str, object], parcels: object) -> list[str]:
    """Returns the ids of the vessels that carry a booked parcel."""
    booked: set[str] = set()
    for name, value in read_object(parcels, "feedstock_parcels").items():
        where = f"feedstock_parcels.{name}"
        parcel = read_object(value, where)
        if parcel.get("vessel_id") is not None:
            booked.add(read_text(parcel, "vessel_id", where))
    return [vessel_id for vessel_id in vessels if vessel_id in booked]


def find_path(legs: Mapping[tuple[str, str], float], origin: str) -> list[Leg] | None:
    """Returns the quickest way from a place to the refinery, or None if no route leads there."""
    queue: list[tuple[float, str, list[Leg]]] = [(0.0, origin, [])]
    seen: set[str] = set()
    while queue:
        days, port, path = heapq.heappop(queue)
        if port == REFINERY:
            return path
        if port in seen:
            continue
        seen.add(port)
        for (start, end), travel in legs.items():
            if start == port and end not in seen:
                heapq.heappush(queue, (days + travel, end, [*path, Leg(start, end, travel)]))
    return None


def feasible_starts(need: Requirement, path: list[Leg] | None) -> frozenset[int]:
    """Returns the days to start loading that lie in the window and still arrive in time."""
    if path is None:
        return frozenset()
    travel = sum(leg.days for leg in path)
    latest = min(need.required_arrival_by, HORIZON_DAYS)
    return frozenset(day for day in need.loading_days if day + LOADING_DAYS + travel <= latest)


def ship(
    need: Requirement,
    path: list[Leg],
    starts: frozenset[int],
    kinds: list[VesselType],
    voyages: list[Voyage],
    free_ids: list[str],
) -> float:
    """Puts a requirement aboard, hiring from `free_ids`; returns the kilobarrels left ashore."""
    left = need.volume
    usable = [kind for kind in kinds if kind.capacity > 0]
    for voyage in voyages:
        if voyage.origin == need.origin and voyage.starts & starts and voyage.room >= left > 0:
            voyage.starts &= starts
            voyage.lots.append((need, left))
            return 0.0
    while left > 0 and free_ids and usable:
        large_enough = [kind for kind in usable if kind.capacity >= left]
        kind = large_enough[0] if large_enough else max(usable, key=lambda kind: kind.capacity)
        voyage = Voyage(free_ids.pop(0), kind, need.origin, path, starts)
        loaded = min(left, kind.capacity)
        voyage.lots.append((need, loaded))
        voyages.append(voyage)
        left -= loaded
    return left


def describe_vessel(voyage: Voyage) -> dict[str, Any]:
    """Returns a voyage as `vessels.json` has it."""
    start = min(voyage.starts)
    departure = float(start + LOADING_DAYS)
    route = []
    for leg in voyage.legs:
        route.append(
            {
                "from": leg.start,
                "to": leg.end,
                "day_start_travel": departure,
                "day_end_travel": departure + leg.days,
                "travel_days": leg.days,
                "action": "requirement_flow",
            }
        )
        departure += leg.days
    return {
        "vessel_id": voyage.vessel_id,
        "arrival_day": departure,
        "capacity": voyage.kind.capacity,
        "cost": voyage.kind.cost,
        "days_held": 0,
        "cargo": [
            {
                "grade": need.grade,
                "volume": volume,
                "origin": need.origin,
                "loading_start_day": start,
                "loading_end_day": start + LOADING_DAYS,
            }
            for need, volume in voyage.lots
        ],
        "route": route,
    }


def describe_places(voyage: Voyage) -> dict[str, Any]:
    """Returns where a vessel is each day, as `vessel_routes.json` has it."""
    departure = float(min(voyage.starts) + LOADING_DAYS)
    arrival = departure + sum(leg.days for leg in voyage.legs)
    days: dict[str, str] = {}
    for day in range(math.ceil(arrival) + 1):
        days[str(day)] = voyage.origin if day < departure else REFINERY
        reached = departure
        for leg in voyage.legs:
            if reached <= day < reached + leg.days:
                days[str(day)] = f"en_route_to_{leg.end}"
            reached += leg.days
    return {"start_location": voyage.origin, "days": days}
