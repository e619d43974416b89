"""The samples of an exposition, by name and labels."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from oasis_data.monitoring import exposition

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]


def samples(text: str) -> Samples:
    """Every sample of an exposition, by name and labels; each only once."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def scrape(documents: dict[str, Any] | None = None) -> Samples:
    body, content_type = exposition(documents)
    assert content_type.startswith("text/plain; version=")
    return samples(body.decode())


def at(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]
