"""The codec: what is read and written as `json` does it, and the memory in between."""

from __future__ import annotations

from tests.sabotage.operations import always, edit, never, remove, value, without
from tests.sabotage.safeguard import Sabotage

SABOTAGES = [
    Sabotage(
        "no-collection-while-decoding",
        "no collection while objects are made",
        remove,
        "pytest tests/test_codec.py -k falls_into",
    ),
    Sabotage(
        "collector-left-as-it-was",
        "the collector is left as it was",
        always,
        "pytest tests/test_codec.py -k left_as_it_was",
    ),
    Sabotage(
        "rounded-division",
        "what the division leaves over is rounded",
        edit("!= 0", "> divisor"),
        "pytest tests/test_codec.py -k a_million",
    ),
    Sabotage(
        "parse-depth",
        "the depth of what is parsed",
        never,
        "cargo parse::gives_up",
    ),
    Sabotage(
        "whole-names-compared",
        "names are told apart to their ends",
        edit(r" \| \(\w+\[2\].+\]\)", ""),
        "pytest tests/test_codec.py -k names_that",
    ),
    Sabotage(
        "exact-decimal",
        "a decimal is written only if it is exact",
        without(1),
        "pytest tests/test_codec.py -k two_million",
    ),
    Sabotage(
        "no-escape-passed-over",
        "an escape amid a long string is not passed over",
        without(0),
        "pytest tests/test_codec.py -k at_every_place",
    ),
    Sabotage(
        "tabs-not-spaces",
        "tabs are not written as spaces",
        edit(r"indentation\.next\(\)", "Some(b' ')"),
        "pytest tests/test_codec.py -k every_depth",
    ),
    Sabotage(
        "half-surrogate-pair",
        "half of a surrogate pair is no text",
        remove,
        "pytest tests/test_codec.py -k surrogate_pair",
    ),
    Sabotage(
        "not-past-the-end",
        "a shortened document is not written past its end",
        without(1),
        "pytest tests/test_codec.py -k lent_and_changed",
    ),
    Sabotage(
        "unpatched-json-reads",
        "documents are read by a json that nobody patched",
        edit(r'"\w+\._standard"', '"json"'),
        "pytest tests/parity/test_patched_json.py -k changes_nothing",
    ),
    Sabotage(
        "unpatched-json-writes",
        "documents are written by a json that nobody patched",
        edit(r'"\w+\._standard", "encoder"', '"json", "JSONEncoder"'),
        "pytest tests/parity/test_patched_json.py -k changes_nothing",
    ),
    Sabotage(
        "json-fits-the-stack",
        "json goes no deeper than the stack has room for",
        always,
        "pytest tests/bad_input/test_stack.py -k no_stack_has_room",
    ),
    Sabotage(
        "codec-fits-the-stack",
        "the codec goes no deeper than the stack has room for",
        value("MAX_DEPTH"),
        "pytest tests/bad_input/test_stack.py -k small_stack_ends",
    ),
    Sabotage(
        "large-encoder-stack",
        "a large encoder gets a stack of its own",
        always,
        "pytest tests/bad_input/test_stack.py -k small_stack_ends",
    ),
    Sabotage(
        "changed-dictionary",
        "a dictionary that changed while it was written is refused",
        never,
        "pytest tests/parity/test_subclasses.py -k may_change",
    ),
    Sabotage(
        "class-asked-again",
        "a class is asked again once Python code has run",
        without(0),
        "pytest tests/parity/test_subclasses.py -k class_that_changes",
    ),
    Sabotage(
        "own-iterator",
        "a list that iterates in its own way is written in that way",
        edit("ptr::fn_addr_eq.own, plain.", "true"),
        "pytest tests/parity/test_subclasses.py -k asks_it",
    ),
    Sabotage(
        "own-items",
        "a dictionary with items of its own is written by those",
        edit(
            r"proof\.interrupt\(.*\(&items\)\)", "value.cast::<pyo3::types::PyDict>().ok().cloned()"
        ),
        "pytest tests/parity/test_subclasses.py -k asks_it",
    ),
    Sabotage(
        "own-order",
        "an ordered dictionary with an order of its own is written by its items",
        edit("== 0", "!= 1"),
        "pytest tests/parity/test_subclasses.py -k asks_it",
    ),
    Sabotage(
        "float-compares-itself",
        "a float with comparisons of its own is asked by json",
        edit("objects::plain_float.&value.", "value.extract::<f64>().ok()"),
        "pytest tests/parity/test_subclasses.py -k asks_it",
    ),
    Sabotage(
        "encode-depth",
        "what is written is no deeper than what json writes",
        without(1),
        "pytest tests/parity/test_depth.py -k depth_that_is_written",
    ),
    Sabotage(
        "step-fits-the-stack",
        "the text of a key at fault is no deeper than the stack",
        remove,
        "pytest tests/bad_input/test_stack.py -k no_stack_has_room",
    ),
    Sabotage(
        "no-utf8-in-path",
        "no UTF-8 stays in a path",
        edit("&& ", "&& text.to_str().is_ok() && "),
        "pytest tests/test_codec.py -k callers_grows",
    ),
]
