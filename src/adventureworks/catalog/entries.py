"""What the registry says of a source table, a mart and an analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from contracts.columns import MartTable as MartContract
    from contracts.columns import SourceTable as SourceContract

Protection = Literal["last_four", "withheld"]
"""How a secret column reaches the warehouse: its last four characters, or only the word `withheld`."""


@dataclass(frozen=True)
class MonthOf:
    """Where the business month of a row is found: a date column of the row, or of the row's parent."""

    column: str
    parent: str | None = None
    parent_key: str | None = None


@dataclass(frozen=True)
class SourceTable:
    """One of the 71 tables of the AdventureWorks database."""

    schema: str
    name: str
    owner: str
    unit: str | None = None
    """Tables of one unit are read from one snapshot and published together or not at all."""
    month: MonthOf | None = None
    modified: str = "ModifiedDate"
    """The column that tells when a row was last changed."""
    protected: Mapping[str, Protection] = field(default_factory=dict)
    personal: tuple[str, ...] = ()
    """Columns that tell something of a natural person; protected columns are personal too."""
    large: bool = False
    """Loaded in a task of its own."""
    archive: str | None = None
    """The table, with the same key, into which the source moves old rows: they are not lost."""

    @property
    def asset(self) -> str:
        """The name of the asset and of the warehouse table, e.g. `Sales_SalesOrderHeader`."""
        return f"{self.schema}_{self.name}"

    @property
    def group(self) -> str:
        """The asset group in Airflow's UI."""
        return self.schema

    @cached_property
    def contract(self) -> type[SourceContract]:
        """The pandera model of one row (imports pandera)."""
        module = import_module(f"contracts.source.{self.schema.lower()}")
        model: type[SourceContract] = getattr(module, self.name)
        return model


@dataclass(frozen=True)
class Mart:
    """A table that readers use, computed from source tables and other marts."""

    name: str
    domain: str
    dag: str
    owner: str
    inputs: tuple[str, ...]
    """The tables and marts that its model reads."""
    dated: str
    """The date column that tells how far the mart goes; of an incremental mart also the month of a row."""
    by_month: tuple[str, ...] = ()
    """Inputs of which a changed month changes rows of that month only; any other input may change every row. None: the
    mart is always computed whole."""
    echoes: tuple[int, ...] = ()
    """How many months after a changed month its rows show the change too (12: growth against the year before)."""
    tolerant: bool = False
    """Computed also while some inputs cannot be: were never published, or were refused by their gate; and again when
    something was judged anew, even if that published nothing. So it is with a report on the state of everything."""
    history: str | None = None
    """A column whose other values stay as they were published, e.g. the run of a check; None: nothing is kept."""
    announces: str | None = None
    """A module whose `digest_of(connection)` says what a new version has to tell the owner; None: nothing."""

    @property
    def asset(self) -> str:
        """The name of the asset and of the warehouse table."""
        return self.name

    @property
    def group(self) -> str:
        """The asset group in Airflow's UI."""
        return self.domain

    @property
    def incremental(self) -> bool:
        """Whether a changed month can be computed alone."""
        return bool(self.by_month)

    @cached_property
    def contract(self) -> type[MartContract]:
        """The pandera model of one row (imports pandera)."""
        module = import_module(f"contracts.marts.{self.domain}")
        model: type[MartContract] = getattr(module, "".join(part.title() for part in self.name.split("_")))
        return model


@dataclass(frozen=True)
class Analysis:
    """One downstream DAG: its marts in the order in which they are built, and its calendar as a safety net."""

    dag: str
    title: str
    calendar: str
    """Cron, UTC."""
    reports: bool = False
    """Whether it files the report of each month that shows something new, after its marts are published."""
