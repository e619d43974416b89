"""How it speaks: colours, names, pipes, shells, statuses; and what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oasis_data import edit_json, list_backups, load_data_file, save_json_atomic
from oasis_data.cli.group import COMMANDS, FAILED
from oasis_data.cli.spelling import quoted, shown
from tests.cli.console import SCRIPT, environment, run, terminal, with_script

ODD = [
    "plain.json",
    "two words.json",
    "it's.json",
    'a"b$HOME`id`.json',
    "-rf.json",
    "[red]bold[bold] :boom:.json",
    "line\nbreak.json",
    "\x1b]0;owned\x07\x1b[31mred.json",
    "back\\slash.json",
    "czech-\u0159.json",
    "\u202egnp.json",
    "c1\x9b31m.json",
    os.fsdecode(b"latin\xe9\xff.json"),
    os.fsdecode(b"both'\xff\\.json"),
]


@pytest.fixture
def corrupt(tmp_path: Path) -> Path:
    """A folder with a corrupt file that has a whole backup."""
    for version in range(3):
        save_json_atomic(tmp_path / "tanks.json", version)
    (tmp_path / "tanks.json").write_text("{")
    return tmp_path


def test_colours_are_for_terminals(corrupt: Path) -> None:
    assert "\x1b[1;31mcorrupt" in terminal("verify", corrupt).out
    assert "\x1b[" not in run("verify", corrupt).out
    assert "\x1b[3" not in terminal("verify", corrupt, NO_COLOR="1").out
    assert "\x1b[" not in terminal("verify", corrupt, TERM="dumb").out


@pytest.mark.parametrize("columns", ["20", "80"])
def test_no_width_cuts_or_wraps_a_name(corrupt: Path, columns: str) -> None:
    ran = terminal("verify", corrupt, COLUMNS=columns)
    assert f"corrupt  {corrupt}/tanks.json\n" in ran.plain
    stamps = [
        backup.path.rpartition(".backup.")[2] for backup in list_backups(corrupt / "tanks.json")
    ]
    listed = terminal("backups", corrupt / "tanks.json", COLUMNS=columns).plain
    assert [line.split()[0] for line in listed.splitlines()[:2]] == stamps


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_an_odd_name_neither_acts_on_the_terminal_nor_is_lost(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for version in range(2):
        save_json_atomic(path, version)
    path.write_text("{")
    ran = terminal("verify", tmp_path, NO_COLOR="1", TERM="dumb")
    assert ran.status == 1
    assert ran.out.replace("\r\n", "").isprintable()
    assert shown(name) in ran.plain
    # The command that is told can be pasted.
    advice = next(line for line in ran.plain.splitlines() if "oasis-data restore" in line)
    restore = advice.partition(", then ")[2]
    subprocess.run(
        ["bash", "-c", f"{restore} --yes"],
        check=True,
        capture_output=True,
        env=with_script(),
    )
    assert load_data_file(path) == 0


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_a_shell_takes_a_quoted_name_for_what_it_is(name: str) -> None:
    said = subprocess.run(
        ["bash", "-c", f"printf %s {quoted(name)}"], check=True, capture_output=True
    )
    assert os.fsdecode(said.stdout) == (f"./{name}" if name.startswith("-") else name)


def test_a_locale_without_the_letters(tmp_path: Path) -> None:
    (tmp_path / "czech-\u0159.json").write_text("{")
    ran = run("verify", tmp_path, PYTHONIOENCODING="ascii")
    assert ran.status == 1
    assert "czech-\\u0159.json" in ran.out


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:0100}.json").write_text("{")
    with subprocess.Popen(
        [SCRIPT, "verify", tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_stops_nothing(corrupt: Path, closed: str) -> None:
    def ended(command: str) -> int:
        done = subprocess.run(
            ["bash", "-c", f"{SCRIPT} {command} {closed}"],
            cwd=corrupt,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
        assert "Traceback" not in done.stderr
        return done.returncode

    assert ended("backups tanks.json") == 0
    assert ended("backups --json tanks.json") == 0
    assert ended("verify .") == 1
    assert ended("restore tanks.json") == 3  # there is nobody to ask
    assert ended("restore --yes tanks.json") == 0
    assert load_data_file(corrupt / "tanks.json") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str) -> None:
    ran = run(command, "--help")
    assert ran.status == 0
    assert "Examples:" in ran.out
    assert f"oasis-data {command} " in ran.out
    assert command in run("--help").out


def test_statuses_of_wrong_uses() -> None:
    assert run("nonsense").status == 2
    assert run("verify").status == 2
    assert run("verify", "/nowhere/at/all").status == 3
    assert run("--version").out.startswith("oasis-data, version ")


def test_a_folder_that_is_none_is_told(corrupt: Path) -> None:
    for command in ("verify", "recover", "stats"):
        missing = run(command, corrupt / "none")
        assert missing.status == 3
        assert (
            missing.err
            == f"Error: {corrupt}/none: No such file or directory\n  -> check the spelling\n"
        )
        file = run(command, corrupt / "tanks.json")
        assert file.status == 3
        assert "-> name the folder" in file.err


def test_no_full_stop_makes_this_folder_read_as_the_one_above(
    corrupt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(corrupt)
    for command in (("verify", "."), ("recover", "."), ("prune", "--keep", 9, "."), ("stats", ".")):
        ran = run(*command)
        assert ".." not in ran.out.replace("...", "")
        assert ran.err == ""


def completed(*words: str, at: int) -> list[str]:
    """What bash is offered for the word at a place."""
    ran = run(
        _OASIS_DATA_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(["oasis-data", *words]),
        COMP_CWORD=str(at),
    )
    assert ran.status == 0
    return ran.out.splitlines()


def test_shells_complete_commands_folders_and_backups(corrupt: Path) -> None:
    assert completed("re", at=1) == ["plain,restore", "plain,recover"]
    assert completed("verify", "", at=2) == ["dir,"]
    assert completed("restore", "", at=2) == ["file,"]
    stamps = [
        backup.path.rpartition(".backup.")[2] for backup in list_backups(corrupt / "tanks.json")
    ]
    told = completed("restore", str(corrupt / "tanks.json"), "", at=3)
    assert told == [f"plain,{stamp}" for stamp in stamps]
    for shell in ("bash", "zsh", "fish"):
        assert "oasis-data" in run(_OASIS_DATA_COMPLETE=f"{shell}_source").out


# Flask, and what is installed


def flask(
    *arguments: str, code: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `flask`, after some code, in a folder without an application unless one is given."""
    start = f"{code}\nimport sys\nfrom flask.cli import main\nsys.argv[0] = 'flask'\nmain()"
    return subprocess.run(
        [sys.executable, "-c", start, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=cwd,
    )


def test_flask_has_the_same_commands(corrupt: Path) -> None:
    ran = flask("data", "verify", str(corrupt))
    assert ran.returncode == 1
    assert ran.stderr.startswith("Without the app and its settings: Could not locate a Flask app")
    assert f"flask data restore {corrupt}/tanks.json" in ran.stdout
    assert flask("data", "restore", "--yes", str(corrupt / "tanks.json")).returncode == 0
    assert load_data_file(corrupt / "tanks.json") == 1
    missing = flask("data", "verify", str(corrupt / "none"))
    assert missing.returncode == 3
    assert "Traceback" not in missing.stderr


APP = """\
from flask import Flask
from oasis_data.flask import OasisData
app = Flask(__name__)
app.config.update(
    OASIS_DATA_ROOT="data", OASIS_DATA_LOCK_TIMEOUT=0.05, OASIS_DATA_BACKUPS_COMPRESSED_ABOVE=100
)
OasisData(app)
"""


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    """A folder with an app, and its documents in `data`."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "data").mkdir()
    save_json_atomic(tmp_path / "data" / "tanks.json", ["first"] * 100)
    save_json_atomic(tmp_path / "data" / "tanks.json", ["second"] * 100)
    return tmp_path


def test_flask_has_the_settings_of_the_app(backend: Path) -> None:
    restored = flask("data", "restore", "--yes", "data/tanks.json", cwd=backend)
    assert (restored.returncode, restored.stderr) == (0, "")
    newest, _ = list_backups(backend / "data" / "tanks.json")
    assert newest.compressed
    with edit_json(backend / "data" / "tanks.json"):
        waited = flask("data", "restore", "--yes", "data/tanks.json", cwd=backend)
    assert waited.returncode == 3
    assert "0.05" in waited.stderr


def test_flask_knows_the_folder_of_the_documents(backend: Path) -> None:
    for command in ("verify", "recover", "stats"):
        ran = flask("data", command, cwd=backend)
        assert (ran.returncode, ran.stderr) == (0, "")
    other = backend / "other"
    other.mkdir()
    assert "no JSON files are there" in flask("data", "verify", "other", cwd=backend).stdout
    (backend / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    assert flask("data", "verify", cwd=backend).returncode == 2


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import nothing_there", "ModuleNotFoundError: No module named 'nothing_there'"),
        ("raise RuntimeError('set DATA')", "set DATA"),
        ("raise SystemExit(7)", "7"),
        ("raise ValueError", "ValueError"),
        ("1 +", "invalid syntax (app.py, line 1)"),
    ],
)
def test_an_app_that_cannot_be_loaded_stops_nothing(backend: Path, source: str, why: str) -> None:
    (backend / "app.py").write_text(source)
    ran = flask("data", "verify", "--json", "data", cwd=backend)
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["ok"]
    (line,) = ran.stderr.splitlines()
    assert line.startswith("Without the app and its settings: ")
    assert line.endswith(why)


def test_an_audit_loads_no_app(backend: Path) -> None:
    (backend / "app.py").write_text("raise RuntimeError")
    ran = flask("data", "audit", "app.py", cwd=backend)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_flask_works_without_the_rest_of_the_extra() -> None:
    without = "import sys\nsys.modules['rich'] = None"
    ran = flask("--version", code=without)
    assert ran.returncode == 0
    assert "Flask" in ran.stdout
    ran = flask("data", "--help", code=without)
    assert ran.returncode == 0
    assert "verify   (needs rich)" in ran.stdout
    ran = flask("data", "verify", "--json", ".", code=without)
    assert ran.returncode == 3
    assert "pip install 'oasis_data[cli]'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_script_says_what_it_lacks() -> None:
    without = "import sys\nsys.modules['click'] = None\nfrom oasis_data.cli import main\nmain()"
    ran = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, check=False
    )
    assert ran.returncode == FAILED
    assert ran.stderr == "oasis-data needs click: pip install 'oasis_data[cli]'\n"
