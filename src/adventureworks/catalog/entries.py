"""The types of the registry's entries: source table, mart and analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from contracts.columns import MartTable as MartContract
    from contracts.columns import SourceTable as SourceContract

Protection = Literal["last_four", "withheld"]
"""How a secret column is stored in the warehouse: its last four characters, or only the word `withheld`."""


@dataclass(frozen=True)
class MonthOf:
    """The source of a row's business month: a date column of the row, or of the row's parent."""

    column: str
    parent: str | None = None
    parent_key: str | None = None


@dataclass(frozen=True)
class PersonOf:
    """How to find the person whose data a row of a table with personal data holds."""

    column: str
    """The column with the person's id (`BusinessEntityID` of Person.Person), or the column shared with `through`."""
    through: str | None = None
    """A table whose rows with the same value of `column` lead to the person; None: `column` holds the id."""
    unless: str | None = None
    """A column of `through`: rows in which it has a value lead to an organization, not to the person."""


@dataclass(frozen=True)
class SourceTable:
    """One of the 71 tables of the AdventureWorks database."""

    schema: str
    name: str
    owner: str
    unit: str | None = None
    """The publish unit. Its tables are read from one snapshot, and published together or not at all."""
    month: MonthOf | None = None
    modified: str = "ModifiedDate"
    """The column with the time of a row's last change."""
    protected: Mapping[str, Protection] = field(default_factory=dict)
    personal: tuple[str, ...] = ()
    """Columns with data about a natural person; protected columns are personal too."""
    person: PersonOf | None = None
    """Whose data a row holds. None in a table with personal columns: only their values can say it."""
    archive: str | None = None
    """The table, with the same key, to which the source moves old rows; such rows do not count as lost."""
    fresh_within: timedelta | None = None
    """How soon a change is published after it was detected at the source; None: as for most tables (`fresh_within`)."""

    @property
    def asset(self) -> str:
        """The name of the asset and of the warehouse table, e.g. `Sales_SalesOrderHeader`."""
        return f"{self.schema}_{self.name}"

    @property
    def group(self) -> str:
        """The business area, as the source names it."""
        return self.schema

    @cached_property
    def contract(self) -> type[SourceContract]:
        """The pandera model of one row (imports pandera)."""
        module, name = self.contract_path
        model: type[SourceContract] = getattr(import_module(module), name)
        return model

    @property
    def contract_path(self) -> tuple[str, str]:
        """The module and the class of the contract."""
        return f"contracts.source.{self.schema.lower()}", self.name


@dataclass(frozen=True)
class Newest:
    """The newest builds of a mart."""

    number: str
    """A column with the number of the build: 1, 2, 3 …"""
    builds: int


@dataclass(frozen=True)
class History:
    """Rows of earlier builds that stay published."""

    columns: tuple[str, ...]
    """A build replaces only rows with its own values of these columns, such as the run of a check."""
    keeps: Newest | Literal["months"]
    """The builds whose rows stay; `months`: all, one for each month, so they grow only with the source."""


@dataclass(frozen=True)
class Part:
    """The part of an input on which a mart depends, such as its complete months."""

    input: str
    view: str
    """A view in `staging` of these rows, which `warehouse.layout` creates."""
    columns: tuple[str, ...]
    """The columns of the view: at least those that the mart's model and checks use."""


@dataclass(frozen=True)
class Period:
    """The days on which the rows of an input count for a mart, as business dates."""

    input: str
    first: str
    """The column with the first day."""
    last: str = ""
    """The column with the last day, NULL if there is none; empty: a row counts from its first day on."""


@dataclass(frozen=True)
class Mart:
    """A table for readers, computed from source tables and other marts."""

    name: str
    domain: str
    dag: str
    owner: str
    inputs: tuple[str, ...]
    """The tables and marts that its model reads."""
    dated: str
    """The date column that shows how far the mart goes; in an incremental mart, also the month of a row."""
    by_month: tuple[str, ...] = ()
    """The inputs for which a changed month changes only rows of that month and its `echoes`; any other input may change
    every row. If empty, the mart is always computed in full."""
    echoes: tuple[int, ...] = ()
    """Offsets, in months, of the other months that a changed month affects (12: growth against last year)."""
    compares: str | None = None
    """The column that is NULL unless the row's month and the same month a year before are complete for its channel. A
    month is computed again when that changes, as a month of a mart with `is_partial` is when it becomes whole."""
    part: Part | None = None
    """While this part and all other inputs stay the same, the rows stay the same, apart from the business date `as_of`,
    and are not computed again. They are checked again only if a rule reads another mart that has changed. None: the
    mart may depend on every row of its inputs."""
    periods: tuple[Period, ...] = ()
    """The business date only decides which rows of the inputs count, by these periods, and is stated in `as_of`. While
    all inputs stay the same and no period begins or ends, the mart is carried over, as one whose `part` stays the same
    is. If empty, it may depend on the business date in any way."""
    tolerant: bool = False
    """Whether the mart is computed even while some inputs were never published or were refused by their gate, and again
    whenever anything is checked, even if nothing is published. Meant for a report on the state of everything."""
    history: History | None = None
    """None: a build replaces the rows of earlier ones."""
    announces: str | None = None
    """A module whose `digest_of(connection)` returns a new version's notice to the owner; None: no notice."""
    # Not part of the definition from which a mart is computed, so a new promise does not compute it again.
    fresh_within: timedelta | None = field(default=None, repr=False)
    """How soon the mart is published after its inputs; None: what its calendar implies (`fresh_within`)."""

    @property
    def asset(self) -> str:
        """The name of the asset and of the warehouse table."""
        return self.name

    @property
    def group(self) -> str:
        """The business area."""
        return self.domain

    @property
    def incremental(self) -> bool:
        """Whether a changed month can be computed alone."""
        return bool(self.by_month)

    @cached_property
    def contract(self) -> type[MartContract]:
        """The pandera model of one row (imports pandera)."""
        module, name = self.contract_path
        model: type[MartContract] = getattr(import_module(module), name)
        return model

    @property
    def contract_path(self) -> tuple[str, str]:
        """The module and the class of the contract."""
        return f"contracts.marts.{self.domain}", "".join(part.title() for part in self.name.split("_"))


@dataclass(frozen=True)
class Analysis:
    """A downstream DAG, with a calendar on which it runs as a fallback to its events."""

    dag: str
    title: str
    """Its name for users, in English. `texts.analyses` translates it."""
    calendar: str
    """Cron expression, in UTC."""
    reports: bool = False
    """Whether it files the report of each month with new figures after its marts are published."""
    is_long: bool = False
    """Whether it takes longer than most, so that it should not start last."""
