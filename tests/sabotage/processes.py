"""Forks, signals, and the end of an interpreter."""

from __future__ import annotations

from tests.sabotage.safeguard import Sabotage

FORK = "src/files/fork.rs"
EXIT = "src/python/gil.rs"

SABOTAGES = [
    Sabotage(
        "only json's own errors are corruption",
        "src/codec/decode_error.rs",
        "is_of_json(py, cause)? {\n        return Ok(None);",
        'is_of_json(py, cause)? {\n        return Ok(Some((String::new(), Position::after(b""))));',
        "pytest tests/test_hostile.py -k signal",
    ),
    Sabotage(
        "no second interpreter",
        "src/python/process.rs",
        "if *FIRST.get_or_init(|| modules) == modules {",
        "if *FIRST.get_or_init(|| modules) == modules || true {",
        "pytest tests/test_hostile.py -k second_interpreter",
    ),
    Sabotage(
        "an edit is left to the parent of a fork",
        "src/files/locked.rs",
        "if self.lock.is_own() && self",
        "if true || self.lock.is_own() && self",
        "pytest tests/test_edit.py -k forked_inside",
    ),
    Sabotage(
        "the fork handler",
        FORK,
        "locked(slot).take();",
        "drop(locked(slot));",
        "pytest tests/test_locks.py -k forked_child",
    ),
    Sabotage(
        "a daemon thread stays away from an interpreter that has ended",
        EXIT,
        "(!ENDING.get().is_some_and(by_another)).then_some(returning)",
        "(true || !ENDING.get().is_some_and(by_another)).then_some(returning)",
        "pytest tests/test_fork.py -k exit",
    ),
    Sabotage(
        "an interpreter waits for the threads on their way back to it",
        EXIT,
        "while RETURNING.load(Ordering::SeqCst) > 0 &&",
        "while false &&",
        "pytest tests/test_fork.py -k exit",
    ),
    Sabotage(
        "a child does not wait at its end for its parent's threads",
        EXIT,
        "    RETURNING.store(0, Ordering::SeqCst);\n",
        "",
        "pytest tests/test_fork.py -k exit",
    ),
    Sabotage(
        "what a signal handler raised makes no file corrupt",
        "src/codec/decode_error.rs",
        "if !is_of_json(py, cause)? {",
        "if false && !is_of_json(py, cause)? {",
        "pytest tests/test_hostile.py -k never_corrupt_because_of_a_signal",
    ),
    Sabotage(
        "a signal is not lost while a failure is told",
        "src/python/exceptions.rs",
        "// A signal handler's.\n        Err(failure) => failure,",
        "Err(failure) => cause.unwrap_or(failure),",
        "pytest tests/test_hostile.py -k failure_is_told",
    ),
    Sabotage(
        "an interpreter waits for threads in Python code",
        EXIT,
        "        Some(returning) => returning,\n",
        "        Some(returning) => return { drop(returning); act() },\n",
        "pytest tests/test_fork.py -k midst",
    ),
    Sabotage(
        "whom the end of an interpreter waits for comes back",
        EXIT,
        "while Python::try_attach(|_| ()).is_none() {",
        "loop {",
        "pytest tests/test_fork.py -k midst",
    ),
    Sabotage(
        "a child's count of threads does not fall below zero",
        EXIT,
        "|n| n.checked_sub(1)",
        "|n| Some(n.wrapping_sub(1))",
        "pytest tests/test_fork.py -k handler_forked",
    ),
    Sabotage(
        "a fork does not hold others off for ever",
        FORK,
        "if waited >= PATIENCE ||",
        "if false ||",
        "cargo a_child_lets_go",
    ),
    Sabotage(
        "a fork keeps others from opening",
        FORK,
        "FORKING.with(|forking| *forking.borrow_mut() = Some(guard));",
        "drop(guard);",
        "cargo a_child_lets_go",
    ),
]
