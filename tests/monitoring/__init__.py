"""Metrics that add up over processes, and the dashboard and the alerts made of them."""

import pytest

# What it compares is shown where it differs, as in the modules of tests.
pytest.register_assert_rewrite("tests.monitoring.samples")
