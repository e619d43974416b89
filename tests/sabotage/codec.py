"""The codec: what is read and written as `json` does it, and the memory in between."""

from __future__ import annotations

from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "no collection while objects are made",
        "src/codec/decode.rs",
        "let _pause = GcPause::start(py);",
        "",
        "pytest tests/test_codec.py -k falls_into",
    ),
    Sabotage(
        "the collector is left as it was",
        "src/codec/gc_pause.rs",
        "if self.was_enabled {",
        "if true {",
        "pytest tests/test_codec.py -k left_as_it_was",
    ),
    Sabotage(
        "what the division leaves over is rounded",
        "src/codec/decimal.rs",
        "u64::from(rest != 0)",
        "u64::from(rest > divisor)",
        "pytest tests/test_codec.py -k a_million",
    ),
    Sabotage(
        "the depth of what is parsed",
        "src/codec/parse.rs",
        "if self.depth == self.max_depth {",
        "if self.depth == usize::MAX {",
        "cargo parse::gives_up",
    ),
    Sabotage(
        "names are told apart to their ends",
        "src/codec/key_cache.rs",
        "(one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) == 0",
        "(one[0] ^ other[0]) | (one[1] ^ other[1]) == 0",
        "pytest tests/test_codec.py -k names_that",
    ),
    Sabotage(
        "a decimal is written only if it is exact",
        "src/codec/encode_number.rs",
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
        "Some(_) => &LINES[..2 + PREFIX],",
        "Some(_) => LINES,",
        "pytest tests/test_codec.py -k every_depth",
    ),
    Sabotage(
        "half of a surrogate pair is no text",
        "src/codec/encode_string.rs",
        "0xD800..0xE000 => return Err(EncodeStop::Fallback),",
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
    Sabotage(
        "documents are read by a json that nobody patched",
        "src/codec/stdlib.rs",
        'Imported::new("oasis_data._standard", "loads")',
        'Imported::new("json", "loads")',
        "pytest tests/parity/test_patched_json.py -k changes_nothing",
    ),
    Sabotage(
        "documents are written by a json that nobody patched",
        "src/codec/stdlib.rs",
        'Imported::new("oasis_data._standard", "encoder")',
        'Imported::new("json", "JSONEncoder")',
        "pytest tests/parity/test_patched_json.py -k changes_nothing",
    ),
    Sabotage(
        "json goes no deeper than the stack has room for",
        "src/codec/recursion.rs",
        "if max_levels(py) <= fitting {",
        "if true {",
        "pytest tests/bad_input/test_stack.py -k no_stack_has_room",
    ),
    Sabotage(
        "the codec goes no deeper than the stack has room for",
        "src/codec/parse.rs",
        "max_depth: stack::levels(FRAME).min(MAX_DEPTH),",
        "max_depth: MAX_DEPTH,",
        "pytest tests/bad_input/test_stack.py -k small_stack_ends",
    ),
    Sabotage(
        "a large encoder gets a stack of its own",
        "src/stack.rs",
        "if remaining() >= LARGE {",
        "if true {",
        "pytest tests/bad_input/test_stack.py -k small_stack_ends",
    ),
    Sabotage(
        "a proxy is asked again by the slower way",
        "src/codec/stdlib.rs",
        "if refused { dump",
        "if refused && false { dump",
        "pytest tests/parity/test_places.py -k behind_a_proxy",
    ),
    Sabotage(
        "no UTF-8 stays in a path",
        "src/python/arguments.rs",
        "&& let Some(ascii) = ascii_of(text)",
        "&& text.to_str().is_ok() && let Some(ascii) = ascii_of(text)",
        "pytest tests/test_codec.py -k callers_grows",
    ),
]
