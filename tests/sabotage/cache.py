"""The cache: which content is the file's, and whose a document is."""

from __future__ import annotations

from tests.sabotage.safeguard import Sabotage

IDENTITY = "src/storage/identity.rs"
LOADING = "src/python/loading.rs"

SABOTAGES = [
    Sabotage(
        "the ctime in the identity",
        IDENTITY,
        "ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),",
        "ctime: 0,",
        "cargo identity::a_change_in_place",
    ),
    Sabotage(
        "the racy window",
        IDENTITY,
        "read_at.0 - self.ctime > tick",
        "read_at.0 - self.ctime > tick - 1_000_000_000_000",
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "a hit compares the identity",
        LOADING,
        "find(identity.key()).filter(|entry| entry.identity == identity)",
        "find(identity.key())",
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "the held descriptor",
        LOADING,
        "        descriptor,\n    }\n}",
        '        descriptor: { drop(descriptor); std::fs::File::open("/dev/null").unwrap() },\n'
        "    }\n}",
        "pytest tests/cache/test_freshness.py",
    ),
    Sabotage(
        "the private copy",
        LOADING,
        "if own { copied(py, &entry) } else { entry.document.lend(py) }",
        "{ let _ = (own, copied); entry.document.lend(py) }",
        "pytest tests/cache/test_ownership.py",
    ),
    Sabotage(
        "a document's plan is set in one go",
        "src/python/documents.rs",
        "self.plan.get_or_init(|| plan)",
        """self.plan.get_or_init(|| {
            py.detach(|| ());
            plan
        })""",
        "pytest tests/test_cache_processes.py -k first_time",
    ),
    Sabotage(
        "what copies take counts towards the limit",
        LOADING,
        "if grown > 0 {",
        "if grown > usize::MAX - 1 {",
        "pytest tests/test_codec.py -k counts_towards",
    ),
]
