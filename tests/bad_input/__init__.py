"""Whatever is handed in, the process lives, the error is typed and the file is as it was."""

import pytest

# What it compares is shown where it differs, as in the modules of tests.
pytest.register_assert_rewrite("tests.bad_input.outcomes")
