"""Loads what the planners read, and saves what they compute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from oasis_data import load_data_file, save_json_atomic, save_many_atomic


def load_dynamic(root: Path, name: str) -> object:
    """Returns a document that the editor and the planners change, such as `tanks`.

    Raises:
        DataOperationError: The file is missing, corrupt or unreadable. A plan made from `{}`
            in its place would look like a plan, and be saved.
    """
    document: object = load_data_file(dynamic_path(root, name), strict=True)
    return document


def load_static(root: Path, name: str) -> object:
    """Returns a document that describes the refinery, such as `plant`; raises as above."""
    document: object = load_data_file(root / "static_data" / f"{name}.json", strict=True)
    return document


def save_dynamic(root: Path, documents: Mapping[str, object]) -> None:
    """Saves documents, by name, that a planner computed together: all of them, or none.

    Raises:
        JSONWriteError: None was saved.
    """
    save_many_atomic({dynamic_path(root, name): each for name, each in documents.items()})


def save_schedule(root: Path, document: object) -> None:
    """Saves the schedule. Raises `JSONWriteError`."""
    # The planners find everything from the folder of their inputs, so they spell this path
    # `dynamic_data/../output`, where the API spells it `output`: one file all the same.
    folder = os.path.join(root, "dynamic_data", "..", "output")
    save_json_atomic(os.path.join(folder, "schedule_results.json"), document)


def dynamic_path(root: Path, name: str) -> Path:
    """Returns where a changing document is kept."""
    return root / "dynamic_data" / f"{name}.json"
