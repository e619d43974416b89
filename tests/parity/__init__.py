"""Held against the standard library: what is written, what is read, and which value is at fault.

The oracle is always the `json` of the interpreter that runs the tests.
"""

import pytest

# What it compares is shown where it differs, as in the modules of tests.
pytest.register_assert_rewrite("tests.parity.comparison")
