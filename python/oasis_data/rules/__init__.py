"""Rules for documents: JSON Schemas, and references between documents.

Private: `configure(rules=…)` of `oasis_data.file_operations` puts a rules file in force. Needs
`pip install 'oasis_data[rules]'`, and is imported only where there are rules.
"""

from oasis_data.rules.rules import Rules

__all__ = ["Rules"]
