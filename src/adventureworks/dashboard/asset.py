"""The page about a table or mart: its neighbourhood, why it is as it is, its versions and its columns.

`dashboard.neighbourhood` decides what the drawing shows and where; `warehouse.condition` names the states, here and on
the other pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Literal

import polars as pl

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES
from adventureworks.catalog.pages import asset_address, view_of
from adventureworks.catalog.readers import READERS, Reader
from adventureworks.columns import columns_of
from adventureworks.dashboard.figures import Asset, assets
from adventureworks.dashboard.neighbourhood import Box, Drawing, Kind, Node, drawing
from adventureworks.incidents import Incident, open_incidents
from adventureworks.messaging.dependants import reader_name, shortened
from adventureworks.months import first_day
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.texts import Language
from adventureworks.warehouse import intervention, kept, publication
from adventureworks.warehouse.cause import Cause, cause_of
from adventureworks.warehouse.condition import URGENCY, Severity, condition
from adventureworks.warehouse.intervention import Intervention
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.publication import Record
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import table

VERSIONS = 20
CHANGES = 20
"""The number of changes of inputs that the page lists."""
INTERVENTIONS = 5
DEPENDANTS = 40
"""The number of marts and readers that the page lists by name."""
MONTHS = 6
"""The number of months that it names of a version."""
MOST_MEASURED = 300_000
"""The columns of a mart with more rows are not measured, because that would take longer than a reader waits."""
_PAGES = {"figure": "figure/revenue"}
"""The addresses of pages whose names are not addresses."""

_READERS: Mapping[Node, Reader] = {Node(reader.kind, reader.name): reader for reader in READERS}


@dataclass(frozen=True)
class Label:
    """What a node of the drawing says."""

    name: str
    address: str
    """Relative to the dashboard's; empty for what has no page."""
    severity: Severity | Literal[""]
    """Empty for what people read: it has no state of its own."""
    state: str = ""
    detail: str = ""
    """The version and its age."""
    members: tuple[Label, ...] = ()
    """The nodes that a folded one stands for."""


@dataclass(frozen=True)
class Version:
    """A version in the history of an asset."""

    record: Record
    took: timedelta | None
    """From the change that led to it to its publication; None if unknown."""
    can_be_restored: bool


@dataclass(frozen=True)
class Measured:
    """What is known about the values of a column."""

    name: str
    nulls: int
    distinct: int | None = None
    least: str | None = None
    most: str | None = None
    mean: float | None = None


@dataclass(frozen=True)
class Profile:
    """What is known about the values of each column in one version."""

    version: int
    rows: int
    columns: tuple[Measured, ...]


@dataclass(frozen=True)
class About:
    """What the page says about an asset, except for its columns."""

    asset: Asset
    severity: Severity
    condition: str
    """The state in words."""
    neighbourhood: Neighbourhood
    versions: tuple[Version, ...]
    """The newest first."""
    cause: Cause | None
    """What changed since the version before the newest one; None if there are not two."""
    incidents: tuple[Incident, ...]
    interventions: tuple[Intervention, ...]


class Neighbourhood:
    """The drawing of a neighbourhood, with what its nodes say."""

    def __init__(self, asset: str, steps: int, assets: Sequence[Asset], language: Language, now: datetime) -> None:
        self._assets = {one.state.asset: one for one in assets}
        self._language, self._now = language, now
        self.drawing: Drawing = drawing(asset, steps, self._urgency)

    def label(self, box: Box) -> Label:
        """Return what a box says."""
        if not box.is_folded:
            return self._label_of(box.nodes[0])
        members = tuple(self._label_of(node) for node in box.nodes)
        severity = max((one.severity for one in members), key=lambda one: URGENCY[one] if one else 0)
        states = Counter(one.state for one in members if one.state)
        number, text = self._language.number, self._language.text
        counted = (text("{state}: {count}", state=state, count=number(count)) for state, count in states.items())
        return Label(self._folded_name(box), "", severity, text("; ").join(counted), members=members)

    def heading(self, steps: int) -> str:
        """Return the heading of a column."""
        text = self._language.text
        near = {-1: text("Reads"), 0: text("This asset"), 1: text("Read by")}
        if steps in near:
            return near[steps]
        count = self._language.number(abs(steps))
        return text("{count} steps up", count=count) if steps < 0 else text("{count} steps down", count=count)

    def _urgency(self, node: Node) -> int:
        return 0 if node in _READERS else URGENCY[condition(self._assets[node.name].state, self._language)[0]]

    def _label_of(self, node: Node) -> Label:
        if node in _READERS:
            return Label(reader_name(_READERS[node], self._language), _address_of(_READERS[node]), "")
        state = self._assets[node.name].state
        severity, words = condition(state, self._language)
        detail = ""
        if state.version is not None and state.published_at is not None:
            age = self._language.ago(self._now - state.published_at)
            version = self._language.number(state.version)
            detail = self._language.text("version {version}, {age}", version=version, age=age)
        return Label(node.name, asset_address(node.name), severity, words, detail)

    def _folded_name(self, box: Box) -> str:
        text = self._language.text
        names: Mapping[Kind, tuple[str, str]] = {
            "mart": (text("{count} marts"), text("{count} more marts")),
            "page": (text("{count} pages"), text("{count} more pages")),
            "report": (text("{count} reports"), text("{count} more reports")),
            "digest": (text("{count} digests"), text("{count} more digests")),
            "source": (text("{count} source tables"), text("{count} more source tables")),
        }
        every, some = names[box.nodes[0].kind]
        return (every if box.is_everything else some).format(count=self._language.number(len(box.nodes)))


def _address_of(reader: Reader) -> str:
    if reader.kind == "page":
        return f"analysis/{reader.name}" if reader.name in ANALYSES else _PAGES.get(reader.name, reader.name)
    return "reports" if reader.kind == "report" else ""


def about(settings: Settings, session: Session, name: str, steps: int, language: Language) -> About:
    """Return what the page says about an asset. `steps`: how far the drawing goes in both directions."""
    records = session.records
    found = assets(settings, session)
    [own] = [one for one in found if one.state.asset == name]
    versions = history(records, name)
    return About(
        own,
        *condition(own.state, language),
        Neighbourhood(name, steps, found, language, datetime.now(UTC)),
        versions,
        cause_of(records, *(version.record.publication for version in versions[:2])) if len(versions) > 1 else None,
        tuple(one for one in open_incidents(records, name) if not one.is_of_task),
        tuple(intervention.of_asset(records, name, INTERVENTIONS)),
    )


def history(records: Connection, asset: str) -> tuple[Version, ...]:
    """Return the newest versions of an asset, newest first."""
    found = publication.newest_records(records, asset, VERSIONS + 1)
    newest = found[0].publication.version if found else 0
    first_kept = kept.oldest(records, asset)
    return tuple(
        Version(record, _took(record, before), first_kept <= record.publication.version < newest)
        for record, before in list(zip_longest(found, found[1:]))[:VERSIONS]
    )


def _took(record: Record, before: Record | None) -> timedelta | None:
    # An older change, as before a rollback or with a new model, is not what led to this version.
    if record.changed_at is None or (before and record.changed_at < before.published_at):
        return None
    return record.published_at - record.changed_at


def months_of(record: Record, language: Language) -> str:
    """Return the months that a version changed, for display."""
    months = record.publication.months
    if months is None:
        return language.text("any")
    return shortened([language.month(first_day(month)) for month in months], language, MONTHS)


def private_columns(asset: str) -> frozenset[str]:
    """Return the personal and protected columns of a source table; none for a mart, which has no such columns."""
    known = SOURCE_TABLES.get(asset)
    return frozenset({*known.personal, *known.protected}) if known else frozenset()


def recorded_profile(records: Connection, asset: str) -> Profile | None:
    """Return the newest profile of a source table; None if none was measured. See `gate.profiling`."""
    rows = records.execute(
        "select version, rows, column_name, nulls, distinct_values, least, most, mean from ops.column_profile"
        " where asset = %(asset)s and version = (select max(version) from ops.column_profile where asset = %(asset)s)",
        {"asset": asset},
    ).fetchall()
    if not rows:
        return None
    known = {row[2]: Measured(*row[2:]) for row in rows}
    columns = (known[column.name] for column in columns_of(SOURCE_TABLES[asset]) if column.name in known)
    hidden = private_columns(asset)
    version, count, *_ = rows[0]
    # A column may have become personal after it was measured.
    return Profile(version, count, tuple(_without_values(one) if one.name in hidden else one for one in columns))


def measured_profile(data: Data, asset: str, version: int) -> Profile:
    """Measure the published rows of a mart, `version`, in one scan. Quantities have no number of distinct values.

    Columns that are `coarser` on the page of the analysis are so here, too.
    """
    columns, coarser = columns_of(MARTS[asset]), view_of(asset).coarser
    parts = ["count(*)"]
    for column in columns:
        name = coarser.get(column.name) or quoted(column.name)
        is_quantity = bool(column.unit)
        is_ordered = column.dtype != pl.Boolean
        parts += [
            f"sum(case when {name} is null then 1 else 0 end)",
            "null" if is_quantity else f"count(distinct {name})",
            f"cast(min({name}) as varchar)" if is_ordered else "null",
            f"cast(max({name}) as varchar)" if is_ordered else "null",
            f"avg(cast({name} as double precision))" if is_quantity else "null",
        ]
    row = data.execute(f"select {', '.join(parts)} from {table('marts', asset)}").fetchone()
    count, *cells = row or ()
    found = []
    for place, column in zip(range(0, len(cells), 5), columns, strict=True):
        nulls, distinct, least, most, mean = cells[place : place + 5]
        if column.dtype.is_decimal():
            least, most = _short(least), _short(most)
        found.append(Measured(column.name, int(nulls or 0), distinct, least, most, mean))
    return Profile(version, count, tuple(found))


def _short(decimal: str | None) -> str | None:
    """Return a decimal without the zeros that only fill its places."""
    return decimal.rstrip("0").rstrip(".") if decimal and "." in decimal else decimal


def _without_values(one: Measured) -> Measured:
    return replace(one, least=None, most=None, mean=None)
