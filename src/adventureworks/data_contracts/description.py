"""What the contracts promise, as plain data that can be compared with another revision.

It is read from the package `contracts` alone, so that this code can also describe the contracts of an older revision.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from textwrap import dedent
from typing import Any, Literal

import polars as pl
from pandera.polars import DataFrameModel
from pydantic import TypeAdapter

from adventureworks.columns import columns_of_contract

Kind = Literal["source", "mart"]
RuleKind = Literal["minimum", "maximum", "longest", "values", "other"]

_BOUNDS: Mapping[str, tuple[RuleKind, bool]] = {
    "greater_than": ("minimum", True),
    "greater_than_or_equal_to": ("minimum", False),
    "less_than": ("maximum", True),
    "less_than_or_equal_to": ("maximum", False),
}
"""The rules that set one bound of a column, and whether they exclude the bound itself."""
_CONSTANTS = (pl.Expr, str, int, float, Decimal, date, timedelta, list, tuple)
"""The types of constants that a rule between columns may use."""


@dataclass(frozen=True)
class Rule:
    """A rule for the values of a column, or between the columns of a row."""

    kind: RuleKind
    text: str
    """The rule in words."""
    values: tuple[str, ...] = ()
    """The bound, the length or the allowed values; for any other rule, what else defines it."""
    excludes_bound: bool = False


@dataclass(frozen=True)
class Column:
    """What a contract promises about a column."""

    type: str
    """Such as `int32`, `decimal(38, 6)` or `string`."""
    nullable: bool
    unique: bool
    unit: str
    meaning: str
    delivered: bool
    """Whether the source must deliver it; otherwise it is computed or derived at ingestion. True for marts."""
    rules: Mapping[str, Rule] = field(default_factory=dict)


@dataclass(frozen=True)
class Contract:
    """What a contract promises."""

    kind: Kind
    version: str
    """MAJOR.MINOR; empty in revisions before contracts had versions."""
    meaning: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    rules: Mapping[str, Rule]
    """The rules between the columns of a row, by name."""


@dataclass(frozen=True)
class Contracts:
    """All contracts of a revision, by the name of their table or mart."""

    current: Mapping[str, Contract]
    retired: Mapping[str, str]
    """The contracts that ended, with the version in which they did."""


ADAPTER = TypeAdapter(Contracts)
"""Writes and reads the contracts of a revision as JSON."""


def describe() -> Contracts:
    """Return every contract of the package `contracts`."""
    import contracts

    found = {name: contract for kind in ("source", "mart") for name, contract in _described(kind)}
    # Revisions before contracts had versions have no `RETIRED`.
    return Contracts(found, getattr(contracts, "RETIRED", {}))


def _described(kind: Kind) -> Iterator[tuple[str, Contract]]:
    from contracts import marts, source

    package = {"source": source, "mart": marts}[kind]
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for model in vars(import_module(info.name)).values():
            if inspect.isclass(model) and issubclass(model, DataFrameModel) and model.__module__ == info.name:
                schema = model.to_schema()
                unique = schema.unique or ()
                yield (
                    schema.name,
                    Contract(
                        kind=kind,
                        version=(getattr(model.Config, "metadata", None) or {}).get("version", ""),
                        meaning=inspect.cleandoc(model.__doc__ or ""),
                        key=(unique,) if isinstance(unique, str) else tuple(unique),
                        columns=_columns(model),
                        rules={check.name: _row_rule(model, check.name) for check in schema.checks},
                    ),
                )


def _columns(model: type[DataFrameModel]) -> dict[str, Column]:
    promised = model.to_schema().columns
    return {
        column.name: Column(
            type=_type(column.dtype),
            nullable=column.nullable,
            unique=bool(promised[column.name].unique),
            unit=column.unit,
            meaning=column.description,
            delivered=column.computed is None and column.derivation is None,
            rules=dict(_column_rule(check) for check in promised[column.name].checks),
        )
        for column in columns_of_contract(model)
    }


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision}, {dtype.scale})"
    return str(dtype.base_type()).lower()


def _column_rule(check: Any) -> tuple[str, Rule]:
    """Return a rule with its name; the rules that set the same kind of limit have the same name."""
    statistics = check.statistics or {}
    if check.name in _BOUNDS:
        kind, excludes = _BOUNDS[check.name]
        [bound] = statistics.values()
        side = {"minimum": ("at least", "more than"), "maximum": ("at most", "less than")}[kind][excludes]
        return kind, Rule(kind, f"{side} {bound}", (str(bound),), excludes)
    if check.name == "str_length":
        longest = statistics["max_value"]
        return "longest", Rule("longest", f"at most {longest} characters", (str(longest),))
    allowed = statistics.get("allowed_values") or statistics.get("codes")
    if allowed:
        values = tuple(sorted(map(str, allowed)))
        return "values", Rule("values", f"one of {', '.join(values)}", values)
    details = tuple(f"{name}={value}" for name, value in sorted(statistics.items()))
    return check.name, Rule("other", check.description or check.name, details)


def _row_rule(model: type[DataFrameModel], name: str) -> Rule:
    """Return a rule between columns; its docstring words it, and what it computes defines it."""
    function: Any = inspect.unwrap(getattr(model, name))
    text = " ".join((inspect.getdoc(function) or name).split())
    return Rule("other", text, tuple(_computed_by(function)))


def _computed_by(function: Any) -> Iterator[str]:
    """Yield the code of a function and the constants and functions of `contracts` that it names."""
    definition: Any = ast.parse(dedent(inspect.getsource(function))).body[0]
    yield ast.unparse(definition.body[1:] if ast.get_docstring(definition) else definition.body)
    named = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
    for name in sorted(named & function.__globals__.keys()):
        value = function.__globals__[name]
        if inspect.isfunction(value) and value.__module__.startswith("contracts") and value is not function:
            yield from _computed_by(value)
        elif isinstance(value, _CONSTANTS):
            yield f"{name}={value}"
