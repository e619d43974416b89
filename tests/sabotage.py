"""Takes safeguards out of a scratch copy, one at a time; each must fail its test.

    python tests/sabotage.py [WORD...]

With words, only the safeguards that contain one of them. Prints a table, and
exits with 1 when a safeguard is missed by its test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Sabotage:
    """One safeguard: where it stands, what is put in its place, who must notice."""

    safeguard: str
    file: str
    line: str
    instead: str
    test: str


STORE = "src/storage/store.rs"
TEMPORARY = "src/storage/temporary.rs"
LOCK = "src/storage/lock.rs"
BACKUP = "src/storage/backup.rs"
IDENTITY = "src/storage/identity.rs"
LOADING = "src/python/loading.rs"
FORK = "src/storage/fork.rs"

SABOTAGES = [
    Sabotage(
        "data sync before the rename",
        TEMPORARY,
        'fs::fsync(&self.file).map_err(|errno| self.target.failed("fsync", errno))?;',
        "",
        "pytest tests/test_syscalls.py -k data_before",
    ),
    Sabotage(
        "directory sync after the rename",
        STORE,
        "            atomic::sync_folder(&self.target)?;\n        }\n        let surplus",
        "        }\n        let surplus",
        "pytest tests/test_syscalls.py -k data_before",
    ),
    Sabotage(
        "a failed directory sync is told",
        STORE,
        "            atomic::sync_folder(&self.target)?;\n        }\n        let surplus",
        "            let _ = atomic::sync_folder(&self.target);\n        }\n        let surplus",
        "pytest tests/test_syscalls.py -k failed_sync",
    ),
    Sabotage(
        "O_EXCL of the temporary file",
        TEMPORARY,
        "OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;",
        "OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;",
        "pytest tests/test_syscalls.py -k data_before",
    ),
    Sabotage(
        "O_NOFOLLOW of the lock file",
        LOCK,
        "let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;",
        "let flags = OFlags::RDWR | OFlags::CLOEXEC;",
        "cargo locks::a_symlink",
    ),
    Sabotage(
        "the lock itself",
        LOCK,
        "self.take(file, fs2::FileExt::try_lock_exclusive)?",
        "self.take(file, |_| Ok(()))?",
        "cargo locks::excludes",
    ),
    Sabotage(
        "the turnstile",
        LOCK,
        "self.take(file, enter_turnstile)?",
        "self.take(file, |_| Ok(()))?",
        "cargo locks::nobody_starves",
    ),
    Sabotage(
        "no thread waits for itself",
        LOCK,
        "if wait.used(file.with(|_| taken().contains(&me)))? {",
        "if wait.used(file.with(|_| taken().contains(&me)))? && false {",
        "cargo locks::a_thread",
    ),
    Sabotage(
        "the recheck of the locked file",
        LOCK,
        "Ok(named) => Ok(Identity::of(&named).key() == held),",
        "Ok(_) => Ok(true),",
        "cargo locks::a_lock_whose",
    ),
    Sabotage(
        "the recheck for a removed lock file",
        LOCK,
        "Err(Errno::NOENT) => Ok(false),",
        "Err(Errno::NOENT) => Ok(true),",
        "cargo locks::a_lock_whose",
    ),
    Sabotage(
        "the sync of unchanged content",
        STORE,
        'fs::fsync(&same.descriptor).map_err(|errno| self.target.failed("fsync", errno))?;',
        "",
        "pytest tests/test_syscalls.py -k same_content",
    ),
    Sabotage(
        "no link to a file with a second name",
        BACKUP,
        "if live.st_nlink > 1 {",
        "if live.st_nlink > 99 {",
        "cargo backups::a_file_with",
    ),
    Sabotage(
        "a killed writer's backup is not linked again",
        STORE,
        "&& backup::is_live(&self.target, newest, live)?",
        "&& backup::is_live(&self.target, newest, live)? && false",
        "cargo backups::what_a_writer",
    ),
    Sabotage(
        "out of the turnstile before a signal handler",
        LOCK,
        "let _ = self.used(file.with(leave_turnstile))?;\n                in_turnstile = false;",
        "",
        "pytest tests/test_hostile.py -k handler_may_save",
    ),
    Sabotage(
        "only json's own errors are corruption",
        "src/codec/corrupt.rs",
        "if value.is_instance(standard::decode_error(py)?)? {",
        'if value.getattr("msg").is_err() {\n'
        '        return Ok(Some((String::new(), Place::after(b""))));\n    }\n'
        "    if value.is_instance(standard::decode_error(py)?)? {",
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
        STORE,
        "if self.lock.is_own() {",
        "if self.lock.is_own() || true {",
        "pytest tests/test_edit.py -k forked_inside",
    ),
    Sabotage(
        "only would-block is contention",
        LOCK,
        "error.raw_os_error() == fs2::lock_contended_error().raw_os_error()",
        "error.raw_os_error().is_some()",
        "pytest tests/test_syscalls.py -k no_contention",
    ),
    Sabotage(
        "signals end the wait",
        LOCK,
        "if self.signals.pending() {",
        "if self.signals.pending() && false {",
        "pytest tests/test_locks.py -k handler_that_raises",
    ),
    Sabotage(
        "the fork handler",
        FORK,
        "locked(slot).take();",
        "drop(locked(slot));",
        "pytest tests/test_locks.py -k forked_child",
    ),
    Sabotage(
        "the sweep's lock test",
        TEMPORARY,
        "if fs2::FileExt::try_lock_exclusive(&file).is_err() {",
        "if fs2::FileExt::try_lock_exclusive(&file).is_err() && false {",
        "cargo sweep::a_live",
    ),
    Sabotage(
        "the sweep",
        STORE,
        "let mut remarks = temporary::sweep(target);\n        let mut temporary",
        "let mut remarks = Vec::new();\n        let mut temporary",
        "cargo sweep::a_save",
    ),
    Sabotage(
        "the backup of a failed save is taken back",
        STORE,
        "Some(taken) => discard_after(error, target, taken),",
        "Some(_) => error,",
        "pytest tests/test_syscalls.py -k takes_its_backup",
    ),
    Sabotage(
        "backup names only grow",
        BACKUP,
        "Some(newest) => now.max(newest.stamp + TimeDelta::microseconds(1)),",
        "Some(_) => now,",
        "cargo backups::names_keep",
    ),
    Sabotage(
        "the ctime in the identity",
        IDENTITY,
        "ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),",
        "ctime: 0,",
        "cargo identity::a_change_in_place",
    ),
    Sabotage(
        "the racy window",
        IDENTITY,
        "read_at.0 - self.ctime > tick",
        "read_at.0 - self.ctime > tick - 1_000_000_000_000",
        "pytest tests/test_cache.py",
    ),
    Sabotage(
        "a hit compares the identity",
        LOADING,
        "find(identity.key()).filter(|entry| entry.identity == identity)",
        "find(identity.key())",
        "pytest tests/test_cache.py",
    ),
    Sabotage(
        "the held descriptor",
        LOADING,
        "        descriptor,\n    }\n}",
        '        descriptor: { drop(descriptor); std::fs::File::open("/dev/null").unwrap() },\n'
        "    }\n}",
        "pytest tests/test_cache.py",
    ),
    Sabotage(
        "the private copy",
        LOADING,
        "if copy { copied(py, &entry) } else { entry.document.lend(py) }",
        "{ let _ = (copy, copied); entry.document.lend(py) }",
        "pytest tests/test_cache.py",
    ),
    Sabotage(
        "a regular file is required",
        "src/storage/target.rs",
        'FileType::Socket => "a socket",',
        "FileType::Socket => return Ok(()),",
        "cargo saves::refuses",
    ),
    Sabotage(
        "the mode is kept",
        TEMPORARY,
        "fs::fchmod(&self.file, Mode::from_raw_mode(like.st_mode & 0o7777))",
        "fs::fchmod(&self.file, Mode::from_raw_mode(0o600))",
        "cargo saves::keeps_mode",
    ),
    Sabotage(
        "the version is compared under the lock",
        STORE,
        "if found == *expected {",
        "if true {",
        "cargo saves::compares_versions",
    ),
    Sabotage(
        "no collection while objects are made",
        "src/codec/decode.rs",
        "let _held = collector::Held::new(py);",
        "",
        "pytest tests/test_codec.py -k falls_into",
    ),
    Sabotage(
        "the collector is left as it was",
        "src/codec/collector.rs",
        "if self.enabled {",
        "if true {",
        "pytest tests/test_codec.py -k left_as_it_was",
    ),
    Sabotage(
        "what the division leaves over is rounded",
        "src/codec/parse.rs",
        "u64::from(rest != 0)",
        "u64::from(rest > divisor)",
        "pytest tests/test_codec.py -k a_million",
    ),
    Sabotage(
        "the depth of what is parsed",
        "src/codec/parse.rs",
        "if self.depth == MAX_DEPTH {",
        "if self.depth == usize::MAX {",
        "cargo parse::gives_up",
    ),
    Sabotage(
        "names are told apart to their ends",
        "src/codec/names.rs",
        "(one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) == 0",
        "(one[0] ^ other[0]) | (one[1] ^ other[1]) == 0",
        "pytest tests/test_codec.py -k names_that",
    ),
    Sabotage(
        "a decimal is written only if it is exact",
        "src/codec/number.rs",
        "&& hundredths as f64 / 100.0 == magnitude",
        "",
        "pytest tests/test_codec.py -k two_million",
    ),
    Sabotage(
        "a shortened document is not written past its end",
        "src/codec/clone.rs",
        "&& *index < list.len()",
        "",
        "pytest tests/test_codec.py -k lent_and_changed",
    ),
    Sabotage(
        "what copies take counts towards the limit",
        LOADING,
        "if grown > 0 {",
        "if grown > usize::MAX - 1 {",
        "pytest tests/test_codec.py -k counts_towards",
    ),
]


def require_built(built: subprocess.CompletedProcess[str]) -> None:
    """Ends the run where a sabotage is no program."""
    if built.returncode:
        sys.exit(f"the sabotaged copy does not build:\n{built.stderr}")


def run(scratch: Path, test: str) -> bool:
    """Runs one test in the scratch copy: whether it passed."""
    tool, arguments = test.split(" ", 1)
    # The copy's package comes before the one installed beside this interpreter.
    package = scratch / "python"
    environment = os.environ | {
        "PYO3_PYTHON": sys.executable,
        "PYO3_BUILD_EXTENSION_MODULE": "1",
        "PYTHONPATH": str(package),
    }

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=scratch, env=environment, capture_output=True, text=True, check=False
        )

    if tool == "cargo":
        built = call("cargo", "test", "--quiet", "--test", "core", "--no-run")
        command = ["cargo", "test", "--quiet", "--test", "core", arguments]
    else:
        built = call("cargo", "build", "--quiet", "--features", "python")
        require_built(built)
        library = scratch / "target" / "debug" / "liboasis_data.so"
        shutil.copy(library, package / "oasis_data" / "_native.so")
        command = [sys.executable, "-m", "pytest", "-q", "-x", *arguments.split(" ", 2)]
    require_built(built)
    return call(*command).returncode == 0


def main() -> int:
    """Tries each sabotage; 1 if any is missed."""
    words = sys.argv[1:]
    chosen = [s for s in SABOTAGES if not words or any(word in s.safeguard for word in words)]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "copy"
        ignore = shutil.ignore_patterns(".venv", "target", ".git", "*.so", "__pycache__")
        shutil.copytree(ROOT, scratch, ignore=ignore)
        print(f"| {'safeguard taken out':45} | {'test that must fail':55} | result |")
        print(f"| {'-' * 45} | {'-' * 55} | ------ |")
        for sabotage in chosen:
            path = scratch / sabotage.file
            whole = path.read_text()
            if whole.count(sabotage.line) != 1:
                sys.exit(f"{sabotage.safeguard}: its line is not in {sabotage.file} once")
            path.write_text(whole.replace(sabotage.line, sabotage.instead))
            passed = run(scratch, sabotage.test)
            path.write_text(whole)
            missed += passed
            verdict = "MISSED" if passed else "fails"
            print(f"| {sabotage.safeguard:45} | {sabotage.test:55} | {verdict:6} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
