"""The settings about rules, and the rules in force.

Private: `configure` of `oasis_data.file_operations` sets them.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, TypedDict

from oasis_data import _native
from oasis_data._paths import FilePath, whole
from oasis_data.error_handling import BrokenRulesError, OperationType

if TYPE_CHECKING:
    from oasis_data.rules import Rules


class RulesSettings(TypedDict):
    """What `configure` sets and returns about rules."""

    rules: str
    rules_grandfathered: bool
    mask_values: bool


class _UnreadableRules:
    """In place of rules whose libraries are not installed: refuses every write.

    Without the libraries nobody knows which documents the rules concern.
    """

    def __init__(self, path: str, missing: ModuleNotFoundError) -> None:
        self._path = path
        self.missing = missing

    def judgement(self, paths: Sequence[FilePath], deletes: bool) -> NoReturn:
        """Refuses a write of these documents.

        Raises:
            BrokenRulesError: Always.
        """
        given_path = os.fsdecode(paths[0])
        raise BrokenRulesError(
            OperationType.DELETE if deletes else OperationType.WRITE,
            given_path,
            f"{os.path.basename(given_path)}: {self.missing}; nothing was"
            f" {'deleted' if deletes else 'saved'}",
            self.missing,
            rules_path=self._path,
        ) from self.missing


current: RulesSettings = {"rules": "", "rules_grandfathered": False, "mask_values": False}
_rules: "Rules | _UnreadableRules | None" = None
"""The rules in force."""


def rules_in_force() -> "Rules | None":
    """The rules that every write obeys; None where there are none.

    Raises:
        ModuleNotFoundError: What they need is not installed.
    """
    if isinstance(_rules, _UnreadableRules):
        raise _rules.missing
    return _rules


def merged(
    rules: FilePath | None, rules_grandfathered: bool | None, mask_values: bool | None
) -> RulesSettings:
    """The settings with what a caller changes.

    Raises:
        ValueError: A setting cannot have that value.
        ModuleNotFoundError: What rules need is not installed.
    """
    changed = current.copy()
    if rules is not None:
        try:
            changed["rules"] = whole(rules)
        except TypeError:
            raise ValueError(f"rules={rules!r}: must be a path") from None
        if rules:
            _import_rules()
    if rules_grandfathered is not None:
        changed["rules_grandfathered"] = _switch("rules_grandfathered", rules_grandfathered)
    if mask_values is not None:
        changed["mask_values"] = _switch("mask_values", mask_values)
    return changed


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}: must be True or False")
    return value


def put_in_force(settings: RulesSettings) -> None:
    """Has every write obey the rules of these settings.

    Where what they need is not installed, every write is refused.
    """
    global _rules
    rules: Rules | _UnreadableRules | None = None
    if path := settings["rules"]:
        grandfathered, masked = settings["rules_grandfathered"], settings["mask_values"]
        try:
            rules = _import_rules()(path, grandfathered=grandfathered, masked=masked)
        except ModuleNotFoundError as missing:
            # safeguard: rules-not-installed
            rules = _UnreadableRules(path, missing)
    _native.use_rules(rules)
    _rules = rules
    current.update(settings)


def _import_rules() -> "type[Rules]":
    """The class of rules, whose modules are imported only where there are rules.

    Raises:
        ModuleNotFoundError: What they need is not installed.
    """
    try:
        from oasis_data.rules import Rules
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"rules need {error.name}: pip install 'oasis_data[rules]'", name=error.name
        ) from error
    return Rules
