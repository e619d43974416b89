"""Importing the package does nothing but import it; and its names are the guide's."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import oasis_data
from oasis_data import error_handling, file_operations

MODULES = {"file_operations": file_operations, "error_handling": error_handling}

OBSERVED = """
import json, logging, os, sys, threading

known = set(sys.modules)
opened, other = [], []

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if mode and set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append(str(path))
    elif event.split(".")[0] in ("socket", "subprocess") or event in (
        "os.mkdir", "os.rename", "os.remove", "os.fork", "os.posix_spawn", "os.system",
        "os.putenv", "os.chdir", "signal.pthread_kill", "_thread.start_new_thread",
    ):
        other.append(event)

sys.addaudithook(watch)
descriptors = set(os.listdir("/proc/self/fd"))
names = sys.argv[1:]
for name in names:
    __import__(name)
logger = logging.getLogger("DataOperations")
json.dump({
    "opened": opened,
    "other": other,
    "descriptors": sorted(set(os.listdir("/proc/self/fd")) - descriptors),
    "modules": sorted({name.split(".")[0] for name in set(sys.modules) - known}),
    "foreign": sorted(
        name for name in set(sys.modules) - known
        if name.split(".")[0] not in {"oasis_data", *sys.stdlib_module_names}
    ),
    "root_handlers": len(logging.root.handlers),
    "root_level": logging.root.level,
    "handlers": len(logger.handlers),
    "filters": len(logger.filters),
    "level": logger.level,
    "propagate": logger.propagate,
    "disabled": logger.disabled,
    "last_resort": logging.lastResort is logging._defaultLastResort,
    "threads": len(os.listdir("/proc/self/task")),
    "python_threads": threading.active_count(),
}, sys.stdout)
"""


def observe_import(folder: Path, *names: str) -> dict[str, Any]:
    """Imports modules in an interpreter of its own, whose every folder is `folder`."""
    places = {name: folder / name for name in ("cwd", "HOME", "TMPDIR", "XDG_CACHE_HOME")}
    for place in places.values():
        place.mkdir()
    cwd = places.pop("cwd")
    done = subprocess.run(
        # -B: writing the compiled form of a module is the interpreter's doing.
        [sys.executable, "-I", "-B", "-W", "error", "-c", OBSERVED, *names],
        cwd=cwd,
        env=os.environ | {name: str(place) for name, place in places.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    observed: dict[str, Any] = json.loads(done.stdout)
    return observed


@pytest.fixture
def imported(tmp_path: Path) -> dict[str, Any]:
    return observe_import(tmp_path, "oasis_data")


def test_import_opens_no_file_for_writing(imported: dict[str, Any]) -> None:
    assert imported["opened"] == []
    assert imported["other"] == []
    assert imported["descriptors"] == []


def test_import_writes_nothing_into_any_folder(tmp_path: Path) -> None:
    observe_import(tmp_path, "oasis_data")

    assert [path for path in tmp_path.rglob("*") if path.parent != tmp_path] == []


def test_watch_above_sees_what_an_import_does(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    bad = tmp_path / "bad" / "bad_module.py"
    bad.write_text(
        "import logging, os, threading, pathlib\n"
        "log = open('bad.log', 'w')\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "logging.getLogger('DataOperations').setLevel(logging.INFO)\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "os.mkdir('made')\n"
    )
    loader = f"import sys; sys.path.insert(0, {str(bad.parent)!r}); sys.argv[1:] = ['bad_module']\n"
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", loader + OBSERVED],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    observed = json.loads(done.stdout)

    assert observed["opened"] == ["bad.log"]
    assert "os.mkdir" in observed["other"]
    assert observed["descriptors"]
    assert observed["foreign"] == ["bad_module"]
    assert (observed["root_handlers"], observed["root_level"], observed["level"]) == (1, 20, 20)
    assert (observed["threads"], observed["python_threads"]) == (2, 2)


def test_import_configures_no_logging(imported: dict[str, Any]) -> None:
    assert imported["root_handlers"] == 0
    assert imported["root_level"] == 30
    assert imported["handlers"] == imported["filters"] == 0
    assert imported["level"] == 0
    assert imported["propagate"] is True
    assert imported["disabled"] is False
    assert imported["last_resort"] is True


def test_import_starts_no_thread(imported: dict[str, Any]) -> None:
    assert imported["threads"] == imported["python_threads"] == 1


def test_import_needs_nothing_but_the_standard_library(imported: dict[str, Any]) -> None:
    assert "oasis_data" in imported["modules"]
    assert imported["foreign"] == []


def test_command_line_imports_the_rest_of_its_extra_when_used(tmp_path: Path) -> None:
    for name, needed in (("oasis_data.cli", set()), ("oasis_data.cli.group", {"click"})):
        (tmp_path / name).mkdir()
        foreign = observe_import(tmp_path / name, name)["foreign"]
        assert {module.split(".")[0] for module in foreign} == needed


@pytest.mark.parametrize(
    "names",
    [
        ["oasis_data.file_operations"],
        ["oasis_data.error_handling"],
        ["oasis_data._native"],
        ["oasis_data.catalogue"],
        ["oasis_data.error_handling", "oasis_data.file_operations", "oasis_data"],
    ],
)
def test_modules_can_be_imported_in_any_order(tmp_path: Path, names: list[str]) -> None:
    assert "oasis_data" in observe_import(tmp_path, *names)["modules"]


# Names


GUIDE: dict[str, list[str]] = {
    "file_operations": [
        "AtomicJSONWriter",
        "JSONWriteError",
        "atomic_writer",
        "save_json_atomic",
        "get_file_mtime",
        "is_cache_valid",
        "load_data_file",
        "invalidate_cache",
        "clear_all_cache",
    ],
    "error_handling": [
        "OperationType",
        "DataOperationError",
        "ErrorHandler",
        "error_handler",
    ],
}


@pytest.mark.parametrize(
    "line",
    [
        "from oasis_data.file_operations import save_json_atomic, JSONWriteError",
        "from oasis_data.error_handling import error_handler, OperationType, DataOperationError",
        "from oasis_data import save_json_atomic, load_data_file, invalidate_cache, JSONWriteError",
    ],
)
def test_import_lines_of_the_guide_work_with_the_package_name_changed(line: str) -> None:
    names: dict[str, object] = {}

    exec(line, names)

    assert names["JSONWriteError" if "JSON" in line else "DataOperationError"] is not None


@pytest.mark.parametrize("module", GUIDE)
def test_names_of_the_guide_are_in_their_module_and_in_the_package(module: str) -> None:
    for name in GUIDE[module]:
        value = getattr(MODULES[module], name)
        assert getattr(oasis_data, name) is value


def test_package_exports_what_its_modules_export() -> None:
    exported: dict[str, object] = {}
    for module in MODULES.values():
        assert len(set(module.__all__)) == len(module.__all__)
        for name in module.__all__:
            value = getattr(module, name)
            assert exported.setdefault(name, value) is value, f"two things are called {name}"
    assert len(set(oasis_data.__all__)) == len(oasis_data.__all__)
    assert set(oasis_data.__all__) == {*exported, "__version__"}
    for name, value in exported.items():
        assert getattr(oasis_data, name) is value


@pytest.mark.parametrize("module", [oasis_data, *MODULES.values()], ids=lambda each: each.__name__)
def test_what_a_module_defines_for_others_is_exported(module: Any) -> None:
    defined = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
        and (inspect.isfunction(value) or (inspect.isclass(value) and issubclass(value, Exception)))
    }

    assert defined <= set(module.__all__)


def test_exported_functions_and_classes_are_documented() -> None:
    for name in oasis_data.__all__:
        value = getattr(oasis_data, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, name


SIGNATURES: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "save_json_atomic": (oasis_data.save_json_atomic, ["file_path", "data"]),
    "load_data_file": (oasis_data.load_data_file, ["file_path"]),
    "get_file_mtime": (oasis_data.get_file_mtime, ["file_path"]),
    "is_cache_valid": (oasis_data.is_cache_valid, ["file_path"]),
    "invalidate_cache": (oasis_data.invalidate_cache, ["file_path"]),
    "clear_all_cache": (oasis_data.clear_all_cache, []),
    "AtomicJSONWriter": (oasis_data.AtomicJSONWriter, ["backup_enabled"]),
    "AtomicJSONWriter.write": (oasis_data.atomic_writer.write, ["file_path", "data"]),
    "DataOperationError": (
        oasis_data.DataOperationError,
        ["operation", "file_path", "message", "original_error"],
    ),
    "ErrorHandler": (oasis_data.ErrorHandler, []),
    "ErrorHandler.handle_error": (
        oasis_data.error_handler.handle_error,
        ["operation", "file_path", "error"],
    ),
}
"""The guide's functions, with its parameters."""


@pytest.mark.parametrize("name", SIGNATURES)
def test_positional_parameters_are_the_guides_and_options_are_keyword_only(name: str) -> None:
    function, expected = SIGNATURES[name]
    parameters = inspect.signature(function).parameters.values()

    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    others = {each.kind for each in parameters if each.name not in positional}

    assert positional == expected
    assert others <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize("name", [name for name in oasis_data.__all__ if name.islower()])
def test_options_of_every_function_are_keyword_only_and_optional(name: str) -> None:
    function = getattr(oasis_data, name)
    if not inspect.isfunction(function):
        return
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.KEYWORD_ONLY:
            assert each.default is not each.empty, each.name
        elif each.kind is each.POSITIONAL_OR_KEYWORD:
            # Which backup to restore is what the function is about.
            about = (name, each.name) == ("restore_backup", "backup")
            assert about or each.default is each.empty, f"{each.name} is an option"


def test_guides_calls_work_by_name(tmp_path: Path) -> None:
    path = str(tmp_path / "x.json")

    assert oasis_data.save_json_atomic(file_path=path, data={"a": 1}) is True
    assert oasis_data.AtomicJSONWriter(backup_enabled=False).write(file_path=path, data=[1]) is True
    assert oasis_data.load_data_file(file_path=path) == [1]
    assert oasis_data.is_cache_valid(file_path=path) is True
    assert oasis_data.get_file_mtime(file_path=path) == os.path.getmtime(path)
    oasis_data.invalidate_cache(file_path=path)
    assert oasis_data.is_cache_valid(file_path=path) is False


# The distribution


def test_version_is_that_of_the_manifest() -> None:
    manifest = (Path(__file__).parents[1] / "Cargo.toml").read_text()
    declared = re.search(r'^\[package\]\n(?:.+\n)*?version = "(.+)"$', manifest, re.MULTILINE)

    assert declared
    assert importlib.metadata.version("oasis_data") == declared[1]


def test_distribution_says_that_it_is_typed() -> None:
    assert importlib.resources.files("oasis_data").joinpath("py.typed").is_file()
    assert importlib.resources.files("oasis_data").joinpath("_native.pyi").is_file()


def test_distribution_needs_no_other_but_for_its_extras() -> None:
    needed = importlib.metadata.requires("oasis_data") or []
    assert [each for each in needed if "extra ==" not in each] == []


def test_extras_are_those_of_the_optional_modules() -> None:
    extras = importlib.metadata.metadata("oasis_data").get_all("Provides-Extra")
    assert extras
    assert {"flask", "logging", "monitoring"} <= set(extras)


@pytest.mark.parametrize(
    ("module", "needs"), [("flask", {"flask"}), ("monitoring", {"prometheus_client"})]
)
def test_optional_modules_do_nothing_but_import_either(
    tmp_path: Path, module: str, needs: set[str]
) -> None:
    observed = observe_import(tmp_path, f"oasis_data.{module}")

    assert needs <= set(observed["foreign"])
    assert observed["opened"] == observed["other"] == []
    assert observed["root_handlers"] == observed["handlers"] == 0
    assert observed["threads"] == 1
