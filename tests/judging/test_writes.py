"""Every kind of write is judged on the state that it leads to, on both engines."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import oasis_data
from oasis_data import (
    FolderNotFoundError,
    JSONWriteError,
    LockTimeoutError,
    NoBackupError,
    StorageWriteError,
    _native,
    delete_json_atomic,
    edit_json,
    list_backups,
    load_data_file,
    restore_backup,
    save_json_atomic,
    save_many_atomic,
    stats,
)
from tests.conftest import backups, temporaries
from tests.judging.references import (
    FOLDERS,
    DanglingError,
    References,
    all_paths,
    in_force,
    path_of,
)


def document(*names: str, **uses: list[str]) -> dict[str, Any]:
    return {"names": list(names), "uses": uses}


@pytest.fixture
def folder(anywhere: Path) -> Path:
    """The four documents: a tank uses oil, and a recipe the tank."""
    for name, content in {
        "crudes": document("oil", "gas"),
        "tanks": document("north", crudes=["oil"]),
        "recipes": document("mix", tanks=["north"]),
        "vessels": document(),
    }.items():
        save_json_atomic(path_of(anywhere, name), content, make_parents=True)
    return anywhere


@pytest.fixture
def rules(folder: Path) -> Iterator[References]:
    with in_force(References(folder)) as rules:
        yield rules


@pytest.fixture
def paths(folder: Path) -> dict[str, Path]:
    return all_paths(folder)


class Untouched:
    """What must be as it was after a write that was refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before = self.look()

    def look(self) -> list[Any]:
        paths = all_paths(self.folder).values()
        return [(load_data_file(path, default=None), backups(path)) for path in paths]

    def check(self) -> None:
        assert self.look() == self.before
        for path in all_paths(self.folder).values():
            # Nobody has a lock.
            with edit_json(path, timeout=0):
                pass
            assert temporaries(path.parent) == []


def save(paths: dict[str, Path]) -> None:
    save_json_atomic(paths["crudes"], document("gas"))


def edit(paths: dict[str, Path]) -> None:
    with edit_json(paths["crudes"]) as crudes:
        crudes["names"].remove("oil")


def batch(paths: dict[str, Path]) -> None:
    tanks = document("north", crudes=["coal"])
    save_many_atomic({paths["tanks"]: tanks, paths["crudes"]: document("oil")})


def delete(paths: dict[str, Path]) -> None:
    delete_json_atomic(paths["crudes"])


WRITES = [save, edit, batch, delete]


@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_leaves_a_reference_dangling_is_refused(
    folder: Path, paths: dict[str, Path], rules: References, write: Callable[..., None]
) -> None:
    untouched = Untouched(folder)
    with pytest.raises(DanglingError, match=r"tanks: crudes has no (oil|coal)"):
        write(paths)
    # One judgement for the write, and its check before its judge.
    [judgement] = rules.judgements
    assert [what for what, *_ in judgement.told] in (
        ["check", "judge"],
        ["check", "check", "judge"],
        ["judge"],
    )
    untouched.check()


def test_the_state_after_the_write_is_judged(paths: dict[str, Path], rules: References) -> None:
    save_json_atomic(paths["crudes"], document("oil", "coal"))
    with edit_json(paths["tanks"]) as tanks:
        tanks["uses"]["crudes"] = ["coal"]
    # In which no step would do alone.
    save_many_atomic(
        {
            paths["tanks"]: document("south", crudes=["tar"]),
            paths["recipes"]: document("mix", tanks=["south"], crudes=["tar"]),
            paths["crudes"]: document("tar"),
        }
    )
    delete_json_atomic(paths["recipes"])
    delete_json_atomic(paths["tanks"])
    delete_json_atomic(paths["crudes"])
    assert load_data_file(paths["vessels"]) == document()


@pytest.mark.parametrize("wants_before", [False, True])
def test_a_judge_gets_the_bytes_that_are_there_and_those_that_will_be(
    paths: dict[str, Path], rules: References, wants_before: bool
) -> None:
    rules.wants_before = wants_before
    vessels = paths["vessels"].read_bytes()
    tanks = paths["tanks"].read_bytes()
    delete_json_atomic(paths["recipes"])
    crudes = paths["crudes"].read_bytes()
    batch = {paths["tanks"]: document("west"), paths["recipes"]: document()}
    save_many_atomic(batch, indent=None)
    judgement = rules.judgements[-1]
    assert judgement.companions == [str(paths["crudes"]), str(paths["vessels"])]
    after = [b'{"names": ["west"], "uses": {}}', b'{"names": [], "uses": {}}']
    assert judgement.told == [
        ("check", 0, after[0]),
        ("check", 1, after[1]),
        ("judge", [tanks, None] if wants_before else [], after, [crudes, vessels]),
    ]
    delete_json_atomic(paths["vessels"])
    assert rules.judgements[-1].told[0][2] == [None]


def test_a_judge_without_a_group_is_asked_only_about_what_is_there(
    paths: dict[str, Path], rules: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = rules.judgement

    def alone(*write: Any) -> Any:
        judgement: Any = asked(*write)
        judgement.group, judgement.companions = None, []
        return judgement

    monkeypatch.setattr(rules, "judgement", alone)
    save_json_atomic(paths["vessels"], document("north"))
    assert [what for what, *_ in rules.judgements[-1].told] == ["check"]
    rules.wants_before = True
    save_json_atomic(paths["vessels"], document("north", "south"))
    assert [what for what, *_ in rules.judgements[-1].told] == ["check"]
    before = paths["vessels"].read_bytes()
    with pytest.raises(DanglingError):
        save_json_atomic(paths["vessels"], {})
    assert rules.judgements[-1].told[1:] == [("judge", [before], [b"{}"], [])]


def test_what_does_not_change_is_not_judged(paths: dict[str, Path], rules: References) -> None:
    save_json_atomic(paths["vessels"], document())
    with edit_json(paths["vessels"]):
        pass
    save_many_atomic({paths["vessels"]: document(), paths["recipes"]: document("m", tanks=[])})
    told = [[what for what, *_ in each.told] for each in rules.judgements]
    assert told == [["check"], ["check"], ["check", "check", "judge"]]


def test_documents_without_rules_are_written_without_a_judge(
    folder: Path, rules: References
) -> None:
    save_json_atomic(folder / "static" / "notes.json", {"uses": "anything"})
    assert rules.judgements == []


def test_the_text_that_is_written_is_checked_before_any_lock(
    paths: dict[str, Path], rules: References
) -> None:
    with edit_json(paths["tanks"]):
        refused = threading.Thread(target=save_json_atomic, args=(paths["tanks"], {}))
        seen: list[BaseException] = []
        refused.run = lambda: seen.append(raised_by(save_json_atomic, paths["tanks"], {}))  # type: ignore[method-assign]
        refused.start()
        refused.join(60)
    assert "has no names" in str(seen[0])


def test_a_write_whose_text_has_faults_is_told_what_dangles_too(
    folder: Path, paths: dict[str, Path], rules: References
) -> None:
    def edit() -> None:
        with edit_json(paths["tanks"]) as tanks:
            tanks.clear()

    vessels = document(recipes=["none"])
    writes: list[tuple[Callable[[], Any], str]] = [
        (lambda: save_json_atomic(paths["tanks"], {}), ""),
        (edit, ""),
        (
            lambda: save_many_atomic({paths["vessels"]: vessels, paths["tanks"]: {}}),
            "; vessels: recipes has no none",
        ),
    ]
    untouched = Untouched(folder)
    for wants_before in (False, True):
        rules.wants_before = wants_before
        for write, more in writes:
            refused = raised_by(write)
            assert isinstance(refused, DanglingError)
            dangling = f"recipes: tanks has no north{more}"
            assert refused.message == f"tanks has no names; {dangling}"
    untouched.check()


def test_what_a_refused_write_is_told_of_others_is_of_one_moment(
    paths: dict[str, Path], rules: References
) -> None:
    first, second = ({each: document(name) for each in others(paths)} for name in ("a", "b"))
    done = threading.Event()

    def go_to_and_fro() -> None:
        while not done.is_set():
            for batch in (first, second):
                save_many_atomic(batch, indent=None, timeout=60)

    delete_json_atomic(paths["recipes"])
    delete_json_atomic(paths["tanks"])
    save_many_atomic(first, indent=None)
    rules.judgements.clear()
    batches = threading.Thread(target=go_to_and_fro)
    batches.start()
    seen: list[Any] = []
    try:
        # Until there was something to mix up.
        while len(seen) < 200 or len({crudes for crudes, _, _ in seen}) == 1:
            with pytest.raises(DanglingError, match="has no names"):
                save_json_atomic(paths["recipes"], {}, timeout=60)
            seen = [each.told[-1][3] for each in rules.judgements if each.names == ["recipes"]]
    finally:
        done.set()
        batches.join(60)
    assert {crudes == vessels for crudes, _, vessels in seen} == {True}


def others(paths: dict[str, Path]) -> list[Path]:
    return [paths["crudes"], paths["vessels"]]


@pytest.mark.files("a store has no folders")
def test_a_refused_write_tells_of_what_cannot_be_read(
    paths: dict[str, Path], rules: References
) -> None:
    paths["crudes"].unlink()
    paths["crudes"].mkdir()
    for content in ({}, document("north")):
        refused = raised_by(save_json_atomic, paths["tanks"], content)
        assert isinstance(refused, StorageWriteError)
        assert refused.message.startswith("crudes.json: ")


def raised_by(call: Callable[..., Any], *arguments: Any) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 -- whatever it is
        call(*arguments)
    return caught.value


class AliensError(BaseException):
    """No exception that anybody expects."""


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("error", [AliensError("!"), KeyboardInterrupt(), RuntimeError("bug")])
@pytest.mark.parametrize("when", ["judgement", "check", "judge"])
def test_whatever_is_raised_reaches_the_caller_as_it_is(
    folder: Path,
    paths: dict[str, Path],
    rules: References,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[..., None],
    error: BaseException,
    when: str,
) -> None:
    if write is delete and when == "check":
        when = "judge"  # a deletion has no text

    def raises(*_: object) -> None:
        raise error

    untouched = Untouched(folder)
    asked = rules.judgement

    def broken(*write: Any) -> Any:
        judgement = asked(*write)
        monkeypatch.setattr(judgement, when, raises)
        return judgement

    with monkeypatch.context() as patched:
        patched.setattr(rules, "judgement", raises if when == "judgement" else broken)
        assert raised_by(write, paths) is error
    untouched.check()


def test_a_refusal_is_counted_by_its_class(paths: dict[str, Path], rules: References) -> None:
    def failures() -> tuple[int, int, int]:
        counted = stats()
        write = counted["failures"]["write"].get("InvalidDocumentError", 0)
        deleted = counted["failures"]["delete"].get("InvalidDocumentError", 0)
        return counted["write_failures"], write, deleted

    total, write, deleted = failures()
    for call, *arguments in (
        (save, paths),
        (save_json_atomic, paths["tanks"], {}),
        (delete, paths),
    ):
        assert isinstance(raised_by(call, *arguments), DanglingError)
    assert failures() == (total + 3, write + 2, deleted + 1)


@pytest.fixture
def history(paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Backups of the tanks: the newest uses what there is not, and the next has no names."""
    for content in (document("old"), {}, document("new", crudes=["coal"]), document("now")):
        save_json_atomic(paths["tanks"], content)
    save_json_atomic(paths["recipes"], document("mix"))
    return paths


def test_a_restore_takes_the_newest_backup_that_obeys(
    history: dict[str, Path], rules: References
) -> None:
    name = restore_backup(history["tanks"])
    assert load_data_file(history["tanks"]) == document("old")
    # The restore has made one more.
    assert name == list_backups(history["tanks"])[3].path


def test_a_restore_of_a_backup_that_does_not_obey_is_refused_with_its_faults(
    history: dict[str, Path], rules: References
) -> None:
    before = history["tanks"].read_bytes()
    names = [each.path for each in list_backups(history["tanks"])]
    for name, fault in ((names[0], "crudes has no coal"), (names[1], "has no names")):
        with pytest.raises(DanglingError, match=fault):
            restore_backup(history["tanks"], name)
    restore_backup(history["tanks"], names[2])
    assert history["tanks"].read_bytes() != before
    with edit_json(history["tanks"], timeout=0):
        pass


def test_where_no_backup_obeys_a_restore_tells_the_faults_of_all(
    history: dict[str, Path], rules: References
) -> None:
    save_json_atomic(history["recipes"], document("mix"))
    with in_force(Nothing(DanglingError(oasis_data.OperationType.WRITE, "t", "never"))):
        failures = stats()["write_failures"]
        with pytest.raises(NoBackupError, match=r"never.*never.*never"):
            restore_backup(history["tanks"])
        assert stats()["write_failures"] == failures + 1


def test_rules_that_are_broken_end_a_restore(history: dict[str, Path]) -> None:
    error = JSONWriteError(oasis_data.OperationType.WRITE, "rules.toml", "line 3")
    with in_force(Nothing(error)):
        assert raised_by(restore_backup, history["tanks"]) is error
    with edit_json(history["tanks"], timeout=0):
        pass


class Nothing:
    """Rules that refuse everything."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def judgement(self, *_: object) -> None:
        raise self.error


def test_documents_that_refer_to_each_other_lie_in_one_store(
    tmp_path: Path, database: Path
) -> None:
    for folder, other in ((tmp_path, database), (database, tmp_path)):
        for name in USES_OF_TANKS:
            save_json_atomic(path_of(folder, name), document("oil"), make_parents=True)
        rules = References(folder)
        asked = rules.judgement

        def apart(paths: Any, deletes: bool, asked: Any = asked, other: Path = other) -> Any:
            judgement = asked(paths, deletes)
            judgement.companions[0] = str(path_of(other, "crudes"))
            return judgement

        rules.judgement = apart  # type: ignore[method-assign]
        with in_force(rules):
            refused = raised_by(save_json_atomic, path_of(folder, "tanks"), document())
            assert isinstance(refused, StorageWriteError)
            assert "does not lie in one store with crudes.json" in str(refused)
            assert isinstance(refused.__cause__, OSError)
            refused = raised_by(restore_backup, path_of(folder, "tanks"))
            assert isinstance(refused, NoBackupError)


USES_OF_TANKS = ("tanks", "crudes")


@pytest.mark.files("a store has no folders")
def test_the_folder_of_the_group_is_made_only_if_that_is_asked_for(anywhere: Path) -> None:
    (anywhere / FOLDERS["tanks"]).mkdir()
    tanks = path_of(anywhere, "tanks")
    with in_force(References(anywhere)):
        refused = raised_by(save_json_atomic, tanks, document())
        assert isinstance(refused, FolderNotFoundError)
        assert str(refused).startswith("crudes.json: ")
        save_json_atomic(tanks, document(), make_parents=True)
    lock = anywhere / FOLDERS["crudes"] / ".oasis_data" / "locks" / "crudes.json.group"
    assert lock.exists()


def test_a_thread_with_the_interpreter_never_waits_for_a_judge_that_wants_it(
    paths: dict[str, Path], rules: References
) -> None:
    """Eight threads of one process, whose judges all want the interpreter under the locks."""
    errors: list[str] = []

    def work(number: int) -> None:
        name = sorted(paths)[number % 4]
        for round_ in range(15):
            try:
                with edit_json(paths[name], timeout=60) as edited:
                    edited["names"] += [f"{number}.{round_}"]
            except Exception as error:
                errors.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert errors == []
    assert len(load_data_file(paths["vessels"])["names"]) == 30


def test_a_handler_inside_a_judgement_does_not_wait_for_itself(
    paths: dict[str, Path], rules: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[BaseException] = []

    def handler(*_: object) -> None:
        seen.append(raised_by(save_json_atomic, paths["tanks"], document("north")))

    asked = rules.judgement

    def interrupted(*write: Any) -> Any:
        judgement: Any = asked(*write)
        if len(rules.judgements) == 1:
            judge = judgement.judge

            def judge_after_signal(*state: Any) -> None:
                signal.raise_signal(signal.SIGUSR1)
                judge(*state)

            judgement.judge = judge_after_signal
        return judgement

    monkeypatch.setattr(rules, "judgement", interrupted)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        save_json_atomic(paths["crudes"], document("oil", "coal"), timeout=30)
    finally:
        signal.signal(signal.SIGUSR1, before)
    [refused] = seen
    assert isinstance(refused, oasis_data.AlreadyLockedError)


def test_a_write_waits_for_the_judgement_of_another_and_no_longer_than_its_deadline(
    paths: dict[str, Path], rules: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, done = threading.Event(), threading.Event()
    save_json_atomic(paths["crudes"], document("oil", "gas", "tar"))
    rules.judgements.clear()
    asked = rules.judgement

    def slow(*write: Any) -> Any:
        judgement: Any = asked(*write)
        if len(rules.judgements) == 1:
            judge = judgement.judge

            def judge_later(*state: Any) -> None:
                inside.set()
                done.wait(60)
                judge(*state)

            judgement.judge = judge_later
        return judgement

    monkeypatch.setattr(rules, "judgement", slow)
    first = threading.Thread(
        target=save_json_atomic, args=(paths["crudes"], document("oil", "coal"))
    )
    first.start()
    assert inside.wait(60)
    # An edit of another document of the group goes on until it is saved.
    with pytest.raises(LockTimeoutError) as caught, edit_json(paths["tanks"], timeout=0.2) as tanks:
        tanks["uses"]["crudes"] = ["coal"]
    assert caught.value.holder == os.getpid()
    assert Path(caught.value.file_path).name == "tanks.json"
    done.set()
    first.join(60)
    with edit_json(paths["tanks"], timeout=60) as tanks:
        tanks["uses"]["crudes"] = ["coal"]


def test_after_the_rules_nobody_is_asked(paths: dict[str, Path], rules: References) -> None:
    _native.use_rules(None)
    save(paths)
    assert rules.judgements == []
