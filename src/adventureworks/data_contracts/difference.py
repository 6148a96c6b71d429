"""The difference between the contracts of two revisions: what changed, whom it breaks, and which version it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple

from adventureworks.data_contracts.description import Column, Contract, Contracts, Rule

Change = Literal[
    "contract added",
    "contract removed",
    "column added",
    "optional column added",
    "column removed",
    "column renamed",
    "type widened",
    "type narrowed",
    "type changed",
    "may be empty",
    "must be filled",
    "need not be delivered",
    "must be delivered",
    "key changed",
    "unit changed",
    "rule tightened",
    "rule loosened",
    "rule changed",
    "meaning changed",
]


class Breaks(NamedTuple):
    """Which parties a change breaks although they complied with the old version."""

    readers: bool
    """Readers may receive something that the old version excluded, or lack something that it promised."""
    producers: bool
    """Producers must deliver something that the old version did not require."""


EFFECTS: Mapping[Change, Breaks] = {
    "contract added": Breaks(readers=False, producers=False),
    "contract removed": Breaks(readers=True, producers=False),
    "column added": Breaks(readers=False, producers=True),
    "optional column added": Breaks(readers=False, producers=False),
    "column removed": Breaks(readers=True, producers=False),
    "column renamed": Breaks(readers=True, producers=True),
    "type widened": Breaks(readers=False, producers=False),
    "type narrowed": Breaks(readers=True, producers=True),
    "type changed": Breaks(readers=True, producers=True),
    "may be empty": Breaks(readers=True, producers=False),
    "must be filled": Breaks(readers=False, producers=True),
    "need not be delivered": Breaks(readers=False, producers=False),
    "must be delivered": Breaks(readers=False, producers=True),
    "key changed": Breaks(readers=True, producers=True),
    "unit changed": Breaks(readers=True, producers=True),
    "rule tightened": Breaks(readers=False, producers=True),
    "rule loosened": Breaks(readers=True, producers=False),
    "rule changed": Breaks(readers=True, producers=True),
    "meaning changed": Breaks(readers=False, producers=False),
}

_INTEGERS = {"int8": (7, True), "uint8": (8, False), "int16": (15, True), "int32": (31, True), "int64": (63, True)}
"""Integer types: bits of the largest value, and whether negative values are possible."""
_DECIMAL = re.compile(r"decimal\((\d+), (\d+)\)")


@dataclass(frozen=True)
class Difference:
    """One change of a contract."""

    change: Change
    column: str
    """Empty if the change concerns the whole contract."""
    detail: str
    breaks: Breaks


@dataclass(frozen=True)
class Changed:
    """A contract that differs between two revisions."""

    name: str
    before: str
    """Its version in the older revision; empty if it had none."""
    after: str
    """Its version now, or the one in which it was retired; empty if it is gone without one."""
    breaking: bool
    differences: tuple[Difference, ...]
    needs: str
    """The least version that the changes require if the stated one is too low; empty if it is right."""


def compare(old: Contracts, new: Contracts) -> list[Changed]:
    """Return the contracts that differ, by name."""
    found = []
    for name in sorted(old.current.keys() | new.current.keys()):
        before, after = old.current.get(name), new.current.get(name)
        differences = tuple(_differences(before, after))
        versions = (before.version if before else "", after.version if after else new.retired.get(name, ""))
        breaking = any(_is_breaking(before or after, one) for one in differences)
        if differences or versions[0] != versions[1]:
            needs = _needed(*versions, breaking, changed=bool(differences))
            found.append(Changed(name, *versions, breaking, differences, needs))
    return found


def _is_breaking(contract: Contract | None, one: Difference) -> bool:
    """Return whether a change breaks someone outside this code.

    A mart's producer is the model in the same revision, so only its readers count. A source table is delivered by the
    source and read from the warehouse, so both count.
    """
    is_delivered = contract is not None and contract.kind == "source"
    return one.breaks.readers or (is_delivered and one.breaks.producers)


def _needed(before: str, after: str, breaking: bool, *, changed: bool) -> str:
    if not before:
        return ""
    old, new = _numbers(before), _numbers(after) if after else (0, 0)
    if breaking:
        return "" if new[0] > old[0] else f"{old[0] + 1}.0"
    if changed:
        return "" if new > old else f"{old[0]}.{old[1] + 1}"
    return "" if new >= old else before


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def _differences(old: Contract | None, new: Contract | None) -> Iterator[Difference]:
    if old is None or new is None:
        yield _difference("contract removed" if new is None else "contract added", "", "")
        return
    if old.key != new.key:
        yield _difference("key changed", "", _arrow(", ".join(old.key), ", ".join(new.key)))
    if old.meaning != new.meaning:
        yield _difference("meaning changed", "", "description of the rows")
    yield from _rules(old.rules, new.rules, "")
    renamed = _renamed(old, new)
    for name, column in old.columns.items():
        if name in renamed:
            yield _difference("column renamed", name, f"to {renamed[name]}")
        elif name not in new.columns:
            yield _difference("column removed", name, "")
        else:
            yield from _of_column(name, column, new.columns[name])
    for name in new.columns.keys() - old.columns.keys() - set(renamed.values()):
        yield _difference("column added" if new.columns[name].delivered else "optional column added", name, "")


def _renamed(old: Contract, new: Contract) -> dict[str, str]:
    """Return the columns that have another name but are otherwise the same, if only one new column is."""
    added = {name: column for name, column in new.columns.items() if name not in old.columns}
    found = {}
    for name, column in old.columns.items():
        same = [other for other, candidate in added.items() if candidate == column]
        if name not in new.columns and len(same) == 1:
            found[name] = same[0]
            del added[same[0]]
    return found


def _of_column(name: str, old: Column, new: Column) -> Iterator[Difference]:
    if old.type != new.type:
        yield _difference(_type_change(old.type, new.type), name, _arrow(old.type, new.type))
    if old.nullable != new.nullable:
        yield _difference("may be empty" if new.nullable else "must be filled", name, "")
    if old.delivered != new.delivered:
        yield _difference("must be delivered" if new.delivered else "need not be delivered", name, "")
    if old.unit != new.unit:
        yield _difference("unit changed", name, _arrow(old.unit or "none", new.unit or "none"))
    if old.meaning != new.meaning:
        yield _difference("meaning changed", name, _arrow(old.meaning or "none", new.meaning or "none"))
    unique = {"unique": Rule("other", "unique")}
    yield from _rules(
        {**old.rules, **(unique if old.unique else {})}, {**new.rules, **(unique if new.unique else {})}, name
    )


def _type_change(old: str, new: str) -> Change:
    if _holds(new, old):
        return "type widened"
    return "type narrowed" if _holds(old, new) else "type changed"


def _holds(wide: str, narrow: str) -> bool:
    """Return whether every value of one type is also one of a wider type of the same kind."""
    if wide in _INTEGERS and narrow in _INTEGERS:
        (bits, signed), (other, also) = _INTEGERS[wide], _INTEGERS[narrow]
        return bits >= other and signed >= also
    decimals = _DECIMAL.fullmatch(wide), _DECIMAL.fullmatch(narrow)
    if decimals[0] and decimals[1]:
        (precision, scale), (fewer, places) = (tuple(map(int, one.groups())) for one in decimals if one)
        return scale >= places and precision - scale >= fewer - places
    return False


def _rules(old: Mapping[str, Rule], new: Mapping[str, Rule], column: str) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if before is None or after is None:
            change: Change = "rule tightened" if before is None else "rule loosened"
        else:
            change = _rule_change(before, after)
        yield _difference(change, column, _arrow(_shown(name, before), _shown(name, after)))


def _rule_change(old: Rule, new: Rule) -> Change:
    """Return how a rule changed; `rule changed` if the new one is neither stricter nor more tolerant."""
    if old.kind == "values":
        allowed, known = set(new.values), set(old.values)
        if allowed > known:
            return "rule loosened"
        return "rule tightened" if allowed < known else "rule changed"
    if old.kind == "other":
        return "rule changed"
    try:
        before, after = _limit(old), _limit(new)
        stricter = after > before if old.kind == "minimum" else after < before
    except InvalidOperation:
        # Dates, and the limits of a column whose type changed.
        return "rule changed"
    return "rule tightened" if stricter else "rule loosened"


def _limit(rule: Rule) -> tuple[Decimal, int]:
    """Return a limit in an order in which a higher minimum and a lower maximum are stricter."""
    excluded = (1 if rule.kind == "minimum" else -1) if rule.excludes_bound else 0
    return Decimal(rule.values[0]), excluded


def _shown(name: str, rule: Rule | None) -> str:
    return f"{name} ({rule.text})" if rule and rule.kind == "other" and rule.text != name else rule.text if rule else ""


def _arrow(old: str, new: str) -> str:
    return f"{old or 'none'} → {new or 'none'}" if old != new else f"definition of {new}"


def _difference(change: Change, column: str, detail: str) -> Difference:
    return Difference(change, column, detail, EFFECTS[change])
