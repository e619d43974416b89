"""Safeguards in the source, each with the test that notices when the safeguard is gone.

To add a safeguard to the table:

1. Mark the safeguard: put a comment line `// safeguard: SLUG` (`#` in Python) directly above its
   statement, match arm, field or expression. The slug is a few words and unique. On a page in
   docs/, put `<!-- safeguard: SLUG -->` above the code block.
2. Add a `Sabotage` with that slug to the module for its subject. It names the operation that takes
   the safeguard out (see `operations`) and the test that must fail then. Several sabotages may
   share a marker.
3. Try the sabotage: `python -m tests.sabotage SLUG`.

`test_table.py` fails when a marker is missing, doubled or used by no sabotage, and when an
operation does not fit its marked code.
"""
