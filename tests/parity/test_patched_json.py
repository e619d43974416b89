"""A `json` whose functions and classes others have wrapped or replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import python

# As tracing agents, mocks and libraries do it.
PATCHES = {
    "wrapped": """
def wrapped(plain):
    @functools.wraps(plain)
    def traced(*arguments, **options):
        return plain(*arguments, **options)
    return traced
for name in ("load", "loads", "dump", "dumps"):
    setattr(json, name, wrapped(getattr(json, name)))
for name in ("decode", "raw_decode"):
    setattr(json.JSONDecoder, name, wrapped(getattr(json.JSONDecoder, name)))
json.JSONEncoder.iterencode = wrapped(json.JSONEncoder.iterencode)
json.decoder.scanner.make_scanner = wrapped(json.decoder.scanner.make_scanner)
""",
    "callable objects": """
class Traced:
    def __init__(self, plain):
        self.plain = plain
    def __call__(self, *arguments, **options):
        return self.plain(*arguments, **options)
json.loads, json.JSONDecoder, json.JSONEncoder = map(
    Traced, (json.loads, json.JSONDecoder, json.JSONEncoder))
json.decoder.JSONDecoder.decode = Traced(json._default_decoder.decode)
""",
    "mocks": """
for name in ("load", "loads", "dump", "dumps", "JSONDecoder", "JSONEncoder", "_default_decoder",
             "detect_encoding"):
    setattr(json, name, MagicMock())
for name in ("JSONDecoder", "JSONObject", "JSONArray", "scanstring"):
    setattr(json.decoder, name, MagicMock())
json.scanner.make_scanner = json.scanner.c_make_scanner = MagicMock()
json.encoder.JSONEncoder = json.encoder.c_make_encoder = MagicMock()
json.encoder.encode_basestring = MagicMock()
""",
    "another error": """
class Told(ValueError):
    def __init__(self, msg, doc, pos):
        super().__init__(msg)
        self.msg, self.doc, self.pos, self.lineno, self.colno = msg, doc, pos, 1, pos + 1
json.decoder.JSONDecodeError = Told
""",
}
CODE = """
import functools, json, logging, sys
from pathlib import Path
from unittest.mock import MagicMock

def patch():
    exec(sys.argv[2])

if sys.argv[3] == "before":
    patch()
from oasis_data import CorruptFileError, list_backups, load_data_file, save_json_atomic
if sys.argv[3] == "after":
    patch()
logging.disable()
path = Path(sys.argv[1], "tanks.json")
for text in ('{"Tank1": 2', '["a" "b"]', "[1,", "nul", "[1] 2", '["\\\\ud800', "[" * 5_000):
    path.write_text(text)
    assert load_data_file(path, default="none") == "none", text
    try:
        print(load_data_file(path, strict=True))
    except CorruptFileError as error:
        print(error.lineno, error.colno)
    before = len(list_backups(path))
    save_json_atomic(path, {"new": 1}, backup=False)
    backups = list_backups(path)
    assert len(backups) == before + 1, text
    assert Path(backups[0].path).read_text() == text
path.write_text('{"a": [NaN, 1], "a": ["é"]}', "utf-16")
assert load_data_file(path, strict=True) == {"a": ["é"]}
save_json_atomic(path, {"b": (1.5, {}), "a": "é"}, sort_keys=True, ensure_ascii=True)
print(path.read_bytes())

# A value that only `json` writes.
class Compared(float):
    __hash__ = float.__hash__
    def __eq__(self, other):
        return float.__eq__(self, other)

save_json_atomic(path, [Compared(1.5)])
print(path.read_bytes())
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", PATCHES)
def test_a_patched_json_changes_nothing(tmp_path: Path, name: str, when: str) -> None:
    folders = [tmp_path / "plain", tmp_path / "patched"]
    for folder in folders:
        folder.mkdir()
    plain = python(CODE, folders[0], "", when)
    assert len(plain.splitlines()) == 9
    assert python(CODE, folders[1], PATCHES[name], when) == plain


def test_a_default_given_to_all_encoders_is_asked(tmp_path: Path) -> None:
    code = """
import json, sys
from oasis_data import save_json_atomic

plain = json.JSONEncoder.default

def default(self, value):
    return sorted(value) if isinstance(value, set) else plain(self, value)

json.JSONEncoder.default = default
save_json_atomic(sys.argv[1], [{2, 1}])
json.JSONEncoder.default = plain
try:
    save_json_atomic(sys.argv[1], [{2, 1}])
except TypeError as error:
    print(error.place)
"""
    path = tmp_path / "sets.json"
    assert python(code, path).split() == ["$[0]"]
    assert json.loads(path.read_bytes()) == [[1, 2]]
