"""The errors: what they are, what they say and to whom; and the handler that answers clients."""

import pytest

# What it compares is shown where it differs, as in the modules of tests.
pytest.register_assert_rewrite("tests.errors.telling")
