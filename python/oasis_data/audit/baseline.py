"""The findings that are known already, in a file: only new findings count.

A finding is known by its file, its rule, the function it is in and its own text, so that
other lines may come and go. Of several that are alike, as many are known as were written.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from oasis_data.audit.finding import Finding

FORMAT = 1
Key = tuple[str, str, str, str]
Reports = list[tuple[Path, list[Finding]]]


class BaselineError(Exception):
    """The file is no baseline; says why."""


def read_baseline(file: Path) -> Counter[Key]:
    """Reads a baseline.

    Raises:
        BaselineError: It cannot be read, or is no baseline.
    """
    try:
        content = json.loads(file.read_bytes())
        if content["format"] != FORMAT:
            raise BaselineError(
                f"{file} has format {content['format']!r}, not {FORMAT}: another release of "
                "oasis_data made it; make it anew with --write-baseline"
            )
        known: Counter[Key] = Counter()
        for each in content["findings"]:
            known[each["file"], each["rule"], each["function"], each["code"]] += each["count"]
    except OSError as error:
        fault = error.strerror or error
        raise BaselineError(f"{file}: {fault}; name a file that --write-baseline made") from error
    except (ValueError, TypeError, KeyError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise BaselineError(
            f"{file} is no baseline ({fault}); name a file that --write-baseline made"
        ) from error
    return known


def write_baseline(file: Path, reports: Reports) -> int:
    """Writes all findings that no comment accepts; the number of them.

    Raises:
        OSError: The file cannot be written.
    """
    keys = Counter(
        _key(file, path, each)
        for path, findings in reports
        for each in findings
        if each.suppressed is None
    )
    content = {
        "format": FORMAT,
        "findings": [
            {"file": key[0], "rule": key[1], "function": key[2], "code": key[3], "count": count}
            for key, count in sorted(keys.items())
        ],
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    _write(file, text.encode("utf-8", "surrogateescape"))
    return keys.total()


def compare(file: Path, known: Counter[Key], reports: Reports) -> tuple[Reports, int]:
    """The reports with each finding marked, and how many entries of their files match nothing."""
    left = known.copy()
    marked = []
    for path, findings in reports:
        marked.append((path, [*_marked(file, left, path, findings)]))
    read = {_name(file, path) for path, _ in reports}
    gone = (count for key, count in left.items() if key[0] in read)
    return marked, sum(gone)


def _marked(
    file: Path, left: Counter[Key], path: Path, findings: list[Finding]
) -> Iterator[Finding]:
    for finding in findings:
        key = _key(file, path, finding)
        is_known = finding.suppressed is None and left[key] > 0
        if is_known:
            # safeguard: baseline-count
            left[key] -= 1
        yield replace(finding, known=is_known)


def _key(file: Path, path: Path, finding: Finding) -> Key:
    return _name(file, path), finding.rule.name, finding.function, finding.code


def _name(file: Path, path: Path) -> str:
    """The path from the baseline's own folder, wherever the command is run."""
    folder = os.path.dirname(os.path.abspath(file))
    return os.path.relpath(os.path.abspath(path), folder).replace(os.sep, "/")


def _write(file: Path, content: bytes) -> None:
    target = Path(os.path.realpath(file))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(descriptor)
        mode = 0o644
        with contextlib.suppress(FileNotFoundError):
            mode = target.stat().st_mode & 0o7777
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
