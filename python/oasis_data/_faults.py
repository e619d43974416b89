"""What a document has against a rule.

Private: the name is in `oasis_data.error_handling`. Needs nothing of the extra `rules`: errors
with faults are read from pickles anywhere.
"""

from dataclasses import dataclass
from typing import Any

MASK = "***"
"""What stands in place of a value, with `configure(mask_values=True)`."""


@dataclass(frozen=True)
class Fault:
    """What one value of a document has against a rule.

    Attributes:
        document: The document, as the rules file names it.
        place: The value at fault, as a path: `$.Tank2.content[0].Base`.
        rule: The rule: the schema file and the keyword in it, or the two ends of the reference.
        value: The value, or `***` where `configure(mask_values=True)` is set.
        message: The place and what is wrong there.
    """

    document: str
    place: str
    rule: str
    value: Any
    message: str
