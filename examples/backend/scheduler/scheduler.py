"""What the plant runs each day, from the crude that it has and the crude that arrives."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .records import (
    HORIZON_DAYS,
    Cargo,
    InputError,
    Plant,
    Recipe,
    Tank,
    read_cargoes,
    read_plant,
    read_recipes,
    read_tanks,
)
from .utils import load_dynamic, load_static, save_schedule

DEFAULT_DAYS = 31

BLENDS_PER_DAY = 2
"""Each change of blend costs the operators hours, so a day has one change at most."""

TRACE = 1e-9
"""Kilobarrels that are rounding, not crude: a ten-thousandth of a litre."""


@dataclass(frozen=True)
class Schedule:
    """The plans of all days, and the crude that found no room by the last of them.

    `document` has the shape of `schedule_results.json`; `waiting` are cargoes with the
    kilobarrels that are still aboard.
    """

    document: dict[str, Any]
    waiting: list[Cargo]


def run_scheduler(root: Path, days: int = DEFAULT_DAYS) -> Schedule:
    """Plans from the documents under `root`, and saves the schedule there.

    Raises:
        InputError: A document, or `days`, is not fit to plan with.
        DataOperationError: A document could not be read, or the schedule not be saved.
    """
    schedule = build_schedule(
        tanks=load_dynamic(root, "tanks"),
        recipes=load_static(root, "recipes"),
        crudes=load_static(root, "crudes"),
        plant=load_static(root, "plant"),
        vessels=load_dynamic(root, "vessels"),
        days=days,
    )
    save_schedule(root, schedule.document)
    return schedule


def build_schedule(
    *,
    tanks: object,
    recipes: object,
    crudes: object,
    plant: object,
    vessels: object,
    days: int = DEFAULT_DAYS,
) -> Schedule:
    """Plans day 1 to day `days`; the same documents always give the same schedule.

    Each day the vessels that have arrived discharge as far as there is room, then the plant
    runs the blends that earn most that day. The documents are left as they are.

    Args:
        tanks: Document: what is in store on the eve of day 1.
        recipes: Document: blends and their greatest rates, in kilobarrels a day.
        crudes: Document: margins by grade, in dollars a barrel.
        plant: Document: the plant's limits.
        vessels: Document: cargoes by vessel, with their days of arrival.
        days: How many days to plan, 1 to `HORIZON_DAYS`.

    Raises:
        InputError: A document, or `days`, is not fit to plan with.
    """
    if not 1 <= days <= HORIZON_DAYS:
        raise InputError(f"days: expected 1 to {HORIZON_DAYS}")
    store = read_tanks(tanks)
    blends = read_recipes(recipes, crudes)
    limits = read_plant(plant)
    waiting = read_cargoes(vessels)
    base_grade = find_base_grade(blends)
    plans = []
    for day in range(1, days + 1):
        arrived = [cargo for cargo in waiting if cargo.arrival_day <= day]
        discharge(arrived, store, limits.max_inventory)
        waiting = [cargo for cargo in waiting if cargo.volume > TRACE]
        runs = run_plant(store, blends, limits, base_grade)
        plans.append(describe_day(day, runs, store))
    return Schedule({"daily_plans": plans}, waiting)


def find_base_grade(recipes: list[Recipe]) -> str | None:
    """Returns the grade that most recipes build on, to which the base crude limit applies."""
    counts = Counter(recipe.primary_grade for recipe in recipes)
    return min(counts, key=lambda grade: (-counts[grade], grade), default=None)


def discharge(arrived: list[Cargo], tanks: list[Tank], max_inventory: float) -> None:
    """Moves cargo into tanks, first come first served, as far as tanks and plant have room."""
    for cargo in arrived:
        for tank in sorted(tanks, key=lambda tank: mixing(tank, cargo.grade)):
            allowed = max_inventory - sum(total_by_grade(tanks).values())
            volume = min(cargo.volume, tank.room, max(0.0, allowed))
            if volume > TRACE:
                tank.content[cargo.grade] = tank.content.get(cargo.grade, 0.0) + volume
                cargo.volume -= volume


def mixing(tank: Tank, grade: str) -> int:
    """Ranks how little a grade would disturb a tank; a grade that is kept pure blends best."""
    if grade in tank.content:
        return 0
    return 2 if tank.content else 1


def run_plant(
    tanks: list[Tank], recipes: list[Recipe], plant: Plant, base_grade: str | None
) -> list[tuple[Recipe, float]]:
    """Draws a day's blends from the tanks; returns each with its kilobarrels."""
    runs: list[tuple[Recipe, float]] = []
    capacity, base_capacity = plant.capacity, plant.base_crude_capacity
    left = list(recipes)
    for _ in range(BLENDS_PER_DAY):
        stock = total_by_grade(tanks)
        best: tuple[float, Recipe] | None = None
        for recipe in left:
            rate = min(recipe.max_rate, capacity)
            for grade, share in recipe.shares.items():
                if share > 0:
                    rate = min(rate, stock.get(grade, 0.0) / share)
                    if grade == base_grade:
                        rate = min(rate, base_capacity / share)
            if rate > TRACE and (best is None or rate * recipe.margin > best[0] * best[1].margin):
                best = rate, recipe
        if best is None:
            break
        rate, recipe = best
        for grade, share in recipe.shares.items():
            draw(tanks, grade, rate * share)
        capacity -= rate
        base_capacity -= rate * recipe.shares.get(base_grade or "", 0.0)
        left.remove(recipe)
        runs.append((recipe, rate))
    return runs


def draw(tanks: list[Tank], grade: str, volume: float) -> None:
    """Takes kilobarrels of a grade out, from the tanks that empty soonest."""
    holding = [tank for tank in tanks if grade in tank.content]
    for tank in sorted(holding, key=lambda tank: tank.content[grade]):
        taken = min(volume, tank.content[grade])
        tank.content[grade] -= taken
        volume -= taken
        # A trace would keep the tank from counting as empty for the next cargo.
        if tank.content[grade] <= TRACE:
            del tank.content[grade]


def total_by_grade(tanks: list[Tank]) -> dict[str, float]:
    """Returns the kilobarrels in store of each grade."""
    totals: dict[str, float] = {}
    for tank in tanks:
        for grade, volume in tank.content.items():
            totals[grade] = totals.get(grade, 0.0) + volume
    return totals


def describe_day(day: int, runs: list[tuple[Recipe, float]], tanks: list[Tank]) -> dict[str, Any]:
    """Returns a day as `schedule_results.json` has it, with the store at the end of the day."""
    stock = total_by_grade(tanks)
    return {
        "day": day,
        "processing_rates": {recipe.name: rate for recipe, rate in runs},
        "inventory": sum(stock.values()),
        "inventory_by_grade": stock,
        "tanks": {
            tank.name: {
                "name": tank.name,
                "capacity": tank.capacity,
                "content": [{grade: volume} for grade, volume in tank.content.items()],
            }
            for tank in tanks
        },
        "blending_details": [
            {
                "name": recipe.name,
                "primary_grade": recipe.primary_grade,
                "secondary_grade": recipe.secondary_grade,
                "max_rate": recipe.max_rate,
                "primary_fraction": recipe.primary_fraction,
                "margin": recipe.margin,
                "total_margin": recipe.margin * rate,
            }
            for recipe, rate in runs
        ],
        "daily_margin": sum(recipe.margin * rate for recipe, rate in runs),
    }
