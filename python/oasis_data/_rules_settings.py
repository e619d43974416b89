"""The settings about rules, and the rules in force.

Private: `configure` of `oasis_data.file_operations` sets them.
"""

from typing import TYPE_CHECKING, TypedDict

from oasis_data import _native
from oasis_data._paths import FilePath, whole

if TYPE_CHECKING:
    from oasis_data.rules import Rules


class RulesSettings(TypedDict):
    """What `configure` sets and returns about rules."""

    rules: str
    rules_grandfathered: bool
    mask_values: bool


current: RulesSettings = {"rules": "", "rules_grandfathered": False, "mask_values": False}
_rules: "Rules | None" = None
"""The rules in force."""


def rules_in_force() -> "Rules | None":
    """The rules that every write obeys; None where there are none."""
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
    if rules_grandfathered is not None:
        changed["rules_grandfathered"] = _switch("rules_grandfathered", rules_grandfathered)
    if mask_values is not None:
        changed["mask_values"] = _switch("mask_values", mask_values)
    if changed["rules"]:
        _import_rules()
    return changed


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}: must be True or False")
    return value


def put_in_force(settings: RulesSettings) -> None:
    """Has every write obey the rules of these settings."""
    global _rules
    rules = None
    if settings["rules"]:
        rules = _import_rules()(
            settings["rules"],
            grandfathered=settings["rules_grandfathered"],
            masked=settings["mask_values"],
        )
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
