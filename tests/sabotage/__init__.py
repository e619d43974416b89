"""Safeguards in the source, each with the test that notices when it is gone."""
