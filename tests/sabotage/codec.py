"""The codec: what is read and written as `json` does it, and the memory in between."""

from __future__ import annotations

from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
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
        "if self.depth == self.deepest {",
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
        "an escape amid a long string is not passed over",
        "src/codec/buffer.rs",
        "if from >= last && stride(last) {",
        "if stride(last) {",
        "pytest tests/test_codec.py -k at_every_place",
    ),
    Sabotage(
        "tabs are not written as spaces",
        "src/codec/encode.rs",
        "Some(_) => &LINES[..2 + LINE],",
        "Some(_) => LINES,",
        "pytest tests/test_codec.py -k every_depth",
    ),
    Sabotage(
        "half of a surrogate pair is no text",
        "src/codec/escape.rs",
        "0xD800..0xE000 => return Err(Stop::NotCovered),",
        "",
        "pytest tests/test_codec.py -k surrogate_pair",
    ),
    Sabotage(
        "a shortened document is not written past its end",
        "src/codec/clone.rs",
        "&& *index < list.len()",
        "",
        "pytest tests/test_codec.py -k lent_and_changed",
    ),
]
