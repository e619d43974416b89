"""The cache as one process sees it: coherent with the file, the caller's own objects, bounded."""

import pytest

# What it compares is shown where it differs, as in the modules of tests.
pytest.register_assert_rewrite("tests.cache.files")
