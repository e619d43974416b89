"""Forks, signals, and the end of an interpreter."""

from __future__ import annotations

from tests.sabotage.operations import always, edit, never, remove, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "only-json-errors-are-corruption",
        "only json's own errors are corruption",
        edit(r"Ok\(None\)", 'Ok(Some((String::new(), Position::after(b""))))'),
        "pytest tests/test_hostile.py -k signal",
    ),
    Sabotage(
        "no-second-interpreter",
        "no second interpreter",
        always,
        "pytest tests/test_hostile.py -k second_interpreter",
    ),
    Sabotage(
        "own-lock-and-folder",
        "an edit is left to the parent of a fork",
        always,
        "pytest tests/test_edit.py -k forked_inside",
    ),
    Sabotage(
        "fork-handler",
        "the fork handler",
        value("drop(locked(slot))"),
        "pytest tests/test_locks.py -k forked_child",
    ),
    Sabotage(
        "no-python-after-the-end",
        "a daemon thread runs no Python code after the end of the interpreter",
        edit(r"^\(", "(true || "),
        "pytest tests/test_exit.py -k midst",
    ),
    Sabotage(
        "end-waits-for-python-code",
        "an interpreter waits for threads in Python code",
        never,
        "pytest tests/test_exit.py -k exit",
    ),
    Sabotage(
        "child-resets-running",
        "a child does not wait at its end for its parent's threads",
        remove,
        "pytest tests/test_exit.py -k exit",
    ),
    Sabotage(
        "only-json-errors-are-corruption",
        "what a signal handler raised makes no file corrupt",
        never,
        "pytest tests/test_hostile.py -k never_corrupt_because_of_a_signal",
    ),
    Sabotage(
        "signal-while-telling-failure",
        "a signal is not lost while a failure is told",
        value("cause.unwrap_or(failure)"),
        "pytest tests/test_hostile.py -k failure_is_told",
    ),
    Sabotage(
        "signal-is-no-answer",
        "a signal is not lost while the failures of a batch load are told",
        always,
        "pytest tests/test_hostile.py -k failure_is_told",
    ),
    Sabotage(
        "gate-not-kept-at-the-end",
        "a thread that is no more keeps no fork's gate shut",
        value("gil::without_gil(py, engine::before_fork)"),
        "pytest tests/test_exit.py -k forked",
    ),
    Sabotage(
        "path-asked-before-the-end",
        "an interpreter waits for a thread that asks a path for its text",
        edit(r"run_python\(path\.py\(\), \|\| (.*)\)\?$", r"\1?"),
        "pytest tests/test_exit.py -k paths",
    ),
    Sabotage(
        "names-decoded-before-the-end",
        "an interpreter waits for a thread that decodes names",
        value("decoded(found)"),
        "pytest tests/test_exit.py -k names",
    ),
    Sabotage(
        "count-not-below-zero",
        "a child's count of threads does not fall below zero",
        edit(r"\w+\.checked_sub\(1\)", "Some(n.wrapping_sub(1))"),
        "pytest tests/test_exit.py -k handler_forked",
    ),
    Sabotage(
        "fork-patience",
        "a fork does not hold others off for ever",
        without(0),
        "cargo a_child_lets_go",
    ),
    Sabotage(
        "fork-keeps-others-from-opening",
        "a fork keeps others from opening",
        value("drop(guard)"),
        "cargo a_child_lets_go",
    ),
]
