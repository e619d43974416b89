"""`configure_logging` and the history of operations in the log."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import oasis_data
from oasis_data import (
    OperationType,
    clear_all_cache,
    configure_logging,
    delete_json_atomic,
    edit_json,
    error_handler,
    list_backups,
    load_data_file,
    load_many,
    load_with_version,
    prune_backups,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
    save_with_version,
)
from tests.conftest import backups, python

LOGGER = logging.getLogger("DataOperations")
GUIDE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - DataOperations - (INFO|WARNING|ERROR) - .+"
)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    level = LOGGER.level
    yield
    configure_logging(console=False)
    LOGGER.setLevel(level)


def lines(folder: Path) -> list[str]:
    return (folder / "data_operations.log").read_text(encoding="utf-8").splitlines()


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(folder)]


def fail() -> Exception:
    try:
        raise KeyError("the very secret")
    except KeyError as error:
        return error


def test_guides_format_on_the_console_and_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The handler takes what sys.stderr is now.
    logger = configure_logging(folder=tmp_path)
    error_handler.handle_error(OperationType.WRITE, "/srv/tanks.json", fail())

    assert logger is LOGGER
    printed = capsys.readouterr().err.splitlines()
    assert printed == lines(tmp_path)
    assert GUIDE.fullmatch(printed[0])
    assert printed[1] == "Traceback (most recent call last):"


def test_folder_is_made_and_only_then_anything_written(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "logs"
    configure_logging(folder=folder, console=False)
    assert list(folder.iterdir()) == []

    LOGGER.warning("something")

    assert len(lines(folder)) == 1


def test_a_folder_that_cannot_be_made_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    configure_logging(folder=tmp_path, console=False, history="all")
    before = list(LOGGER.handlers)

    with pytest.raises(OSError, match="file"):
        configure_logging(folder=tmp_path / "file" / "logs", level="ERROR")

    assert LOGGER.handlers == before
    assert LOGGER.level == logging.INFO


@pytest.mark.parametrize(
    "options",
    [
        {"history": "some"},
        {"level": "LOUD"},
        {"folder": "logs", "max_bytes": 0},
        {"folder": "logs", "files_kept": 0},
    ],
)
def test_options_that_cannot_be_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = (LOGGER.level, list(LOGGER.handlers), LOGGER.propagate)

    with pytest.raises(ValueError, match=str(next(reversed(options.values())))):
        configure_logging(**options)

    assert (LOGGER.level, LOGGER.handlers, LOGGER.propagate) == before


def test_a_later_call_takes_the_place_of_an_earlier_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = logging.NullHandler()
    LOGGER.addHandler(own)
    try:
        for _ in range(3):
            configure_logging(folder=tmp_path)
        LOGGER.warning("once")

        assert own in LOGGER.handlers
        assert len(lines(tmp_path)) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
    finally:
        LOGGER.removeHandler(own)


def test_root_logger_does_not_repeat_it(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    LOGGER.warning("before")
    configure_logging()
    LOGGER.warning("meanwhile")
    capsys.readouterr()
    configure_logging(console=False)
    LOGGER.warning("after")

    assert caplog.messages == ["before", "after"]


def test_level_decides(tmp_path: Path) -> None:
    configure_logging(folder=tmp_path, console=False, level="ERROR", history="all")
    save_json_atomic(tmp_path / "tanks.json", 1)
    load_data_file(tmp_path / "missing.json")
    error_handler.handle_error(OperationType.READ, "tanks.json", fail())

    assert [line for line in lines(tmp_path) if " - INFO - " in line or "WARNING" in line] == []
    assert len([line for line in lines(tmp_path) if " - ERROR - " in line]) == 1


# Beside the application's own configuration

DICT_CONFIG = """
import logging.config
handler = {"class": "logging.StreamHandler", "formatter": "f"}
FORMATTER = {"format": "root %(levelname)s %(name)s %(message)s"}
def configure(**others):
    logging.config.dictConfig({
        "version": 1, "formatters": {"f": FORMATTER}, "handlers": {"all": handler},
        "root": {"level": "INFO", "handlers": ["all"]}, **others})
"""
FILE_CONFIG = """
import io, logging.config
TEXT = """
FILE_CONFIG += repr(
    "[loggers]\nkeys=root\n[handlers]\nkeys=all\n[formatters]\nkeys=f\n"
    "[logger_root]\nlevel=INFO\nhandlers=all\n"
    "[handler_all]\nclass=StreamHandler\nformatter=f\nargs=()\n"
    "[formatter_f]\nformat=root %(levelname)s %(name)s %(message)s\n"
)
FILE_CONFIG += """
def configure(**others):
    logging.config.fileConfig(io.StringIO(TEXT))
"""
DISABLING = [DICT_CONFIG, FILE_CONFIG]
# What an application does that imports the package first.
PRELUDE = """
import logging, os, sys, threading
from oasis_data import *
log, path = logging.getLogger("DataOperations"), sys.argv[1]
def fail():
    answer = error_handler.handle_error(OperationType.READ, path, ValueError("x"))
    return answer["details"]["error_id"]
"""


def logged(code: str, path: Path, configuration: str = DICT_CONFIG) -> str:
    """What a program writes to stderr, with its handlers there."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + configuration + code, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("configuration", DISABLING)
def test_it_survives_a_configuration_that_disables_loggers(
    tmp_path: Path, configuration: str
) -> None:
    told = logged(
        """
configure()
assert log.disabled
load_data_file(path)
configure()
print("sent", fail(), file=sys.stderr)
configure()
assert not fail() is None and not log.disabled
""",
        tmp_path / "tanks.json",
        configuration,
    )
    (identity,) = re.findall(r"^sent (\w+)$", told, re.MULTILINE)
    assert re.search(r"^root WARNING DataOperations Using the default for .*tanks\.json", told)
    assert re.search(rf"^root ERROR .*\[error_id={identity}\]", told, re.MULTILINE)
    assert told.count("root ERROR DataOperations") == 2


def test_so_do_remarks_beside_a_write(tmp_path: Path) -> None:
    told = logged(
        "from oasis_data import _logging\nconfigure()\n"
        "_logging.log_write('save', path, 0.0, ['a remark'], 1, None, None)\n",
        tmp_path / "tanks.json",
    )
    assert "root WARNING DataOperations Beside the change of" in told


@pytest.mark.parametrize("configuration", DISABLING)
def test_so_do_the_handlers_and_the_history_that_it_was_given(
    tmp_path: Path, configuration: str
) -> None:
    log, path = tmp_path / "log", tmp_path / "tanks.json"
    told = logged(
        """
configure_logging(folder=os.path.dirname(path) + "/log", history="all")
save_json_atomic(path, 1)
configure()
load_data_file(path)
save_json_atomic(path, 2)
fail()
""",
        path,
        configuration,
    )
    kinds = [line.split(" - ")[2:] for line in lines(log) if GUIDE.fullmatch(line)]
    assert [kind for kind, _ in kinds] == ["INFO", "INFO", "INFO", "ERROR"]
    assert told.splitlines() == lines(log)


@pytest.mark.parametrize("disable", ["configure()", "log.disabled = True"])
def test_configure_logging_brings_it_back(tmp_path: Path, disable: str) -> None:
    path = tmp_path / "tanks.json"
    told = logged(
        f"{disable}\nconfigure_logging(history='writes')\n"
        "assert not log.disabled\nlog.info('mine')\nsave_json_atomic(path, 1)\n",
        path,
    )
    assert [line.split(" - ")[3].split(":")[0] for line in told.splitlines()] == [
        "mine",
        "Data operation done",
    ]


@pytest.mark.parametrize(
    "silence",
    [
        "log.disabled = True",
        "configure(); fail(); log.disabled = True",
        "log.setLevel(logging.CRITICAL + 1); configure()",
        "log.addFilter(lambda record: False); configure()",
        "log.propagate = False; log.addHandler(logging.NullHandler()); configure()",
        "logging.disable(); configure()",
        "configure(loggers={'DataOperations': {'level': 60}})",
    ],
)
def test_whoever_silences_it_on_purpose_is_obeyed(tmp_path: Path, silence: str) -> None:
    told = logged(
        f"{silence}\nprint('from here', file=sys.stderr)\nfail()\nload_data_file(path)\n",
        tmp_path / "tanks.json",
    )
    assert told.endswith("from here\n")


def test_threads_and_a_forked_child_are_heard_too(tmp_path: Path) -> None:
    told = logged(
        """
def work():
    together.wait()
    fail()
together = threading.Barrier(4)
configure()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
configure()
child = os.fork()
if child == 0:
    fail()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
        tmp_path / "tanks.json",
    )
    assert told.count("root ERROR DataOperations") == 5


def test_the_package_has_one_logger_of_its_own() -> None:
    # Each other would have to be brought back as well.
    printed = python(
        """
import importlib, logging, pkgutil
before = set(logging.root.manager.loggerDict)
import oasis_data
for module in pkgutil.walk_packages(oasis_data.__path__, "oasis_data."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sorted(name for name in logging.root.manager.loggerDict if "data" in name.lower()))
"""
    )
    assert printed.split() == ["DataOperations", "_DataOperationsWitness"]


# Errors


def test_an_error_has_its_traceback_and_its_id(tmp_path: Path) -> None:
    configure_logging(folder=tmp_path, console=False)
    answer = error_handler.handle_error(OperationType.READ, tmp_path / "tanks.json", fail())

    first, *rest = lines(tmp_path)
    assert f"error_id={answer['details']['error_id']}" in first
    assert str(tmp_path / "tanks.json") in first
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "KeyError: 'the very secret'"


def test_an_error_in_json_lines(tmp_path: Path) -> None:
    configure_logging(folder=tmp_path, console=False, json_lines=True)
    answer = error_handler.handle_error(OperationType.READ, tmp_path / "ta\nnks.json", fail())

    (record,) = records(tmp_path)
    assert record["level"] == "ERROR"
    assert record["logger"] == "DataOperations"
    assert record["process"] == os.getpid()
    assert record["error_id"] == answer["details"]["error_id"]
    assert record["file_path"] == str(tmp_path / "ta\nnks.json")
    assert record["error_type"] == "KeyError"
    assert "in fail" in record["traceback"]
    assert record["exception"].startswith("Traceback")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", record["time"])


@pytest.mark.parametrize("json_lines", [False, True])
def test_what_is_no_text_can_be_logged(tmp_path: Path, json_lines: bool) -> None:
    configure_logging(folder=tmp_path, console=False, json_lines=json_lines)
    LOGGER.warning("half \ud800 and a whole \N{OIL DRUM}")

    assert len(lines(tmp_path)) == 1


# History


def history(folder: Path) -> list[dict[str, Any]]:
    return [record for record in records(folder) if record["level"] == "INFO"]


def test_each_write_is_one_line_with_what_matters(anywhere: Path, tmp_path: Path) -> None:
    log, path = tmp_path / "log", anywhere / "tanks.json"
    configure_logging(folder=log, console=False, json_lines=True, history="writes")
    newest = []

    def note() -> None:
        newest.append(backups(path)[-1].name if backups(path) else None)

    save_json_atomic(path, {"a": 1})
    note()
    version = save_with_version(path, {"a": 22})
    note()
    with edit_json(path) as document:
        document["b"] = 3
    note()
    save_many_atomic({path: 4, anywhere / "other.json": 5})
    note()
    load_data_file(path)
    restore_backup(path)
    note()
    delete_json_atomic(path)
    note()
    prune_backups(path, keep=4)

    told = history(log)
    assert [record["operation"] for record in told] == [
        "save",
        "save",
        "edit",
        "batch save",
        "batch save",
        f"restore of {newest[3]}",
        "delete",
        "prune",
    ]
    assert [record["bytes"] for record in told] == [12, 13, 23, 1, 1, 23, None, None]
    assert [record["backup"] for record in told] == [
        *newest[:4],
        None,
        *newest[4:],
        newest[1],
    ]
    assert told[1]["version"] == version
    assert told[2]["version"] == told[5]["version"] != told[3]["version"]
    assert [record["version"] for record in told[6:]] == [None, None]
    assert {record["file_path"] for record in told} == {str(path), str(anywhere / "other.json")}
    assert all(record["milliseconds"] > 0 for record in told)


def test_version_in_the_history_is_that_of_the_file(anywhere: Path, tmp_path: Path) -> None:
    configure_logging(folder=tmp_path, console=False, json_lines=True, history="writes")
    save_json_atomic(anywhere / "tanks.json", [1])

    assert history(tmp_path)[-1]["version"] == load_with_version(anywhere / "tanks.json")[1]


def test_loads_are_in_it_only_if_all_is_asked_for(anywhere: Path, tmp_path: Path) -> None:
    log, path = tmp_path / "log", anywhere / "tanks.json"
    save_json_atomic(path, [1])
    configure_logging(folder=log, console=False, json_lines=True, history="all")

    assert load_data_file(path) == [1]
    clear_all_cache()
    assert load_data_file(path) == [1]
    _, version = load_with_version(path)
    load_many([path, anywhere / "missing.json"])
    load_data_file(anywhere / "missing.json")

    told = history(log)
    assert [record["operation"] for record in told] == ["load"] * 3 + ["batch load"]
    assert [record["bytes"] for record in told] == [7, 7, 7, None]
    assert [record["version"] for record in told] == [None, None, version, None]


def test_what_fails_is_not_in_it(anywhere: Path, tmp_path: Path) -> None:
    log, path = tmp_path / "log", anywhere / "tanks.json"
    configure_logging(folder=log, console=False, json_lines=True, history="all")
    LOGGER.warning("the log is there")

    with pytest.raises(oasis_data.JSONWriteError):
        save_json_atomic(path, object())
    with pytest.raises(oasis_data.JSONReadError):
        load_data_file(path, strict=True)
    with pytest.raises(KeyError), edit_json(path):
        raise KeyError
    assert list_backups(path) == []

    assert history(log) == []


def test_without_it_a_save_says_nothing(tmp_path: Path) -> None:
    configure_logging(folder=tmp_path, console=False)
    save_json_atomic(tmp_path / "tanks.json", 1)
    load_data_file(tmp_path / "tanks.json")

    assert not (tmp_path / "data_operations.log").exists()


def test_guides_format_tells_it_too(tmp_path: Path) -> None:
    configure_logging(folder=tmp_path, console=False, history="writes")
    version = save_with_version(tmp_path / "tanks.json", [1])

    (line,) = lines(tmp_path)
    assert GUIDE.fullmatch(line)
    assert f"save on {str(tmp_path / 'tanks.json')!r} milliseconds=" in line
    assert line.endswith(f" bytes=7 version={version}")


# Several processes


WORKER = """
import os, sys
from oasis_data import configure_logging
folder, processes, count, early = sys.argv[1], *map(int, sys.argv[2:])
def configure():
    return configure_logging(folder=folder, console=False, max_bytes=20_000, files_kept=1000)
if early:
    # As under gunicorn --preload: the handler is there, and in use, before the fork.
    configure().info("line 0 of 0")
pids = []
for worker in range(1, processes + 1):
    pid = os.fork()
    if not pid:
        import logging
        logger = logging.getLogger("DataOperations") if early else configure()
        for number in range(count):
            logger.info("line %d of %d %s", number, worker, "x" * 60)
        os._exit(0)
    pids.append(pid)
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize("early", [0, 1])
def test_no_line_is_lost_or_torn_when_several_processes_rotate(tmp_path: Path, early: int) -> None:
    python(WORKER, tmp_path, 4, 500, early)

    files = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    text = [line for path in files for line in path.read_text().splitlines()]
    whole = re.compile(r".* - DataOperations - INFO - line (\d+) of (\d)(?: x{60})?")
    found = [match.groups() for line in text if (match := whole.fullmatch(line))]
    assert len(found) == len(text)
    expected = {(str(number), str(worker)) for number in range(500) for worker in range(1, 5)}
    assert len(found) == 2000 + early
    assert set(found) - {("0", "0")} == expected
    # Rotated: none is larger than it may be, but by a line.
    assert len(files) > 5
    assert max(path.stat().st_size for path in files) < 20_200


def test_old_files_go(tmp_path: Path) -> None:
    configure_logging(folder=tmp_path, console=False, max_bytes=200, files_kept=3)
    for number in range(50):
        LOGGER.info("line %d", number)

    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert names == {"data_operations.log", *(f"data_operations.log.{n}" for n in (1, 2, 3))}
    assert lines(tmp_path)[-1].endswith("line 49")


# Without the libraries


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("concurrent_log_handler", {"folder": "logs"}),
        ("pythonjsonlogger", {"json_lines": True}),
    ],
)
def test_missing_library_is_named_and_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, options: dict[str, Any]
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    before = list(LOGGER.handlers)

    with pytest.raises(ImportError, match=r"pip install 'oasis_data\[logging\]'"):
        configure_logging(**options)

    assert LOGGER.handlers == before
    assert list(tmp_path.iterdir()) == []


def test_console_alone_needs_no_library(tmp_path: Path) -> None:
    printed = python(
        """
import sys
for name in ("concurrent_log_handler", "pythonjsonlogger"):
    sys.modules[name] = None
import oasis_data
oasis_data.configure_logging(history="writes")
oasis_data.save_json_atomic(sys.argv[1], 1)
print(sorted({name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)))
""",
        tmp_path / "tanks.json",
    )
    assert "portalocker" not in printed
