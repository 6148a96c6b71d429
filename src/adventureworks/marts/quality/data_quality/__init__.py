"""Data quality: every rule that was checked, known defects, missing values and rows, duplicates, unusual volumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.marts.changes import Changes
from adventureworks.marts.models import Read
from adventureworks.marts.quality.data_quality.anomalies import anomalous_months, depleted_months
from adventureworks.marts.quality.data_quality.duplicates import probable_duplicates
from adventureworks.months import key_of

DEFECTS = ("sales_defects", "product_defects", "person_defects")
LOSSES = ("numbers", "movements", "orders")
"""SELECTs of rules about rows that are missing although other rows imply them."""
MAX_KEYS = 3
CONTRACT = "rows_keep_the_contract"
VOLUME, ORDERS, DUPLICATES = "monthly_volume_is_usual", "months_have_their_orders", "person_is_there_once"
BY_TABLE = {"volumes": VOLUME, "numbers": "numbers_are_consecutive"}
"""The SELECTs that find the same for a table whatever the others contain, each with its rule."""
CYCLES = {"online": 1, "reseller": 3}
"""Months after which the orders of a channel are comparable: the waves of resellers repeat each quarter."""
CONTENT = ("completeness", "validity", "consistency")
"""The dimensions of business rules: rules about what the data says, beyond types, keys and empty values."""
TECHNICAL = (
    CONTRACT,
    "checks_are_readable",
    "checks_are_evaluated",
    "change_can_be_compared",
    "columns_stay_filled",
    "columns_are_not_swapped",
    "columns_stay_diverse",
    "values_stay_in_range",
    "values_keep_their_format",
)
"""Other rules of these dimensions: about types, checks and the shape of a change. Most are recorded only if broken."""

Rule = dict[str, Any]
"""A row of the mart without its scores: the columns `RULE`."""
Defect = dict[str, Any]
"""A rule with the name of a key, and the keys of the first and the last row that break it, as text."""
RULE = ("table_name", "rule", "dimension", "severity", "checked", "failed", "sample_keys")


@dataclass(frozen=True)
class Side:
    """The rule about one side of the lines of orders and the movements of stock that they caused."""

    table: str
    key_name: str
    counterparts: tuple[str, ...]
    """The tables whose rows the rule misses."""
    since: str
    """The moment of the counterparts' first row. Earlier rows are not checked: theirs may have been removed as old."""


SIDES = {
    "line_has_its_movement": Side(
        "Sales_SalesOrderDetail",
        "SalesOrderDetailID",
        ("Production_TransactionHistory", "Production_TransactionHistoryArchive"),
        "first_movement",
    ),
    "movement_has_its_line": Side("Sales_SalesOrderHeader", "SalesOrderID", ("Sales_SalesOrderDetail",), "first_order"),
}
"""By rule of the SELECT of movements."""
NAMED_HERE = {
    "persons": {"Person_Person", DUPLICATES},
    "volumes": {VOLUME},
    "movements": {side.table for side in SIDES.values()},
}
"""The tables and rules of a SELECT that are named in this module, and not in the SELECT."""


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return one row per rule with this run's result; the rows of earlier runs stay published."""
    set_aside = read("set_aside")
    return _run(read, set_aside, lambda name: _evaluated(read, name, set_aside), as_of)


def update(read: Read, changes: Changes, as_of: date) -> pl.DataFrame:
    """Return what `compute` returns. Rules about data that has not changed have the results of the previous run."""
    set_aside = read("set_aside")
    since = Since(changes, set_aside, as_of)
    return _run(read, set_aside, lambda name: since.rules(name) or _evaluated(read, name, set_aside), as_of)


def losses(read: Read) -> list[Rule]:
    """Return the rules that find rows which the source did not deliver."""
    set_aside = read("set_aside")
    return [rule for name in LOSSES for rule in _evaluated(read, name, set_aside)]


def _run(read: Read, set_aside: pl.DataFrame, rules_of: Callable[[str], list[Rule]], as_of: date) -> pl.DataFrame:
    """Return the rows of a run. `rules_of`: returns the rules of a SELECT about the source's data, by its name."""
    rules = [
        *_checks(read("checks")),
        *_contracts(read("contracts"), set_aside),
        *_readings(read("readings")),
        *(rule for name in ("volumes", *LOSSES, "persons", *DEFECTS) for rule in rules_of(name)),
    ]
    frame = pl.DataFrame(rules, schema={name: _TYPES.get(name, pl.String()) for name in RULE})
    rate = 1 - pl.col("failed") / pl.col("checked")
    return (
        _with_scores(frame.with_columns(pass_rate=pl.when(pl.col("checked") > 0).then(rate)))
        .join(read("previous"), on=["table_name", "rule"], how="left")
        .with_columns(change=pl.col("pass_rate") - pl.col("previous_pass_rate").cast(pl.Float64), as_of=pl.lit(as_of))
        .join(read("run"), how="cross")
    )


def _evaluated(read: Read, name: str, set_aside: pl.DataFrame) -> list[Rule]:
    """Return the rules of a SELECT, evaluated on all rows."""
    if name == "volumes":
        return _volumes(read(name))
    if name == "numbers":
        return _numbers(read, set_aside)
    if name == "movements":
        rows = _sides(read(name), read("beginnings").row(0, named=True))
        return [_loss(row, SIDES[row["rule"]].counterparts, set_aside) for row in rows]
    if name == "orders":
        return [_orders(read(name))]
    if name == "persons":
        return [_duplicates(read(name))]
    return [_defect(row) for row in read(name).iter_rows(named=True)]


class Since:
    """Finds results of rules from those of the previous run and what has changed since."""

    def __init__(self, changes: Changes, set_aside: pl.DataFrame, as_of: date) -> None:
        self._changes, self._set_aside, self._as_of = changes, set_aside, as_of
        rows = changes.published().select(RULE).iter_rows(named=True)
        self._previous: dict[tuple[str, str], Rule] = {(row["table_name"], row["rule"]): row for row in rows}

    def rules(self, name: str) -> list[Rule]:
        """Return the rules of a SELECT; empty if it has to be evaluated on all rows."""
        if name in LOSSES and self._has_set_aside(self._changes.tables(name)):
            return []
        if not self._changes.affect(name, self._as_of):
            named = self._changes.constants(name) | NAMED_HERE.get(name, set())
            return [row for (table, rule), row in self._previous.items() if table in named and rule in named]
        if name in BY_TABLE:
            return self._by_table(name)
        if name == "sales_defects":
            found = self._changes.of_orders(name, self._as_of)
            return self._counted_on((found[0].to_dicts(), found[1].to_dicts()) if found else None)
        return self._counted_on(self._sides()) if name == "movements" else []

    def _by_table(self, name: str) -> list[Rule]:
        """Return the rules of a SELECT, evaluated only for the tables of which other rows count now."""
        affected = self._changes.affecting(name, self._as_of)
        others = self._changes.tables(name) - affected
        found = _evaluated(lambda one: self._changes.read_only(one, affected, self._as_of), name, self._set_aside)
        kept = (self._previous.get((table, BY_TABLE[name])) for table in sorted(others))
        return [*found, *(rule for rule in kept if rule is not None)]

    def _has_set_aside(self, tables: Collection[str]) -> bool:
        """Return whether a row of these tables is set aside, or was in the previous run. It does not count as lost."""
        contracts = (self._previous.get((table, CONTRACT)) for table in tables)
        return bool({*self._set_aside["table_name"]} & {*tables}) or any(row and row["failed"] for row in contracts)

    def _sides(self) -> tuple[list[Defect], list[Defect]] | None:
        """Return the rules about lines and movements for the changed orders alone, as they were, and as they are.

        None unless other orders are earlier than all of these: then they decide from when on rows are checked.
        """
        found = self._changes.of_orders("movements", self._as_of)
        changed = self._changes.of_orders("beginnings", self._as_of)
        if found is None or changed is None:
            return None
        moments = [moment for frame in changed for moment in frame.row(0) if moment is not None]
        # Also of orders of which only a line has changed, which `beginnings` does not read.
        moments += [moment for frame in found for moment in frame["happened"]]
        if moments and not all(self._changes.read("earlier", min(moments).date()).row(0)):
            return None
        before, now = found
        return _sides(before), _sides(now)

    def _counted_on(self, found: tuple[list[Defect], list[Defect]] | None) -> list[Rule]:
        """Return the rules with the previous results, less those before and plus those now; empty if unknown."""
        if found is None:
            return []
        before, now = ({(row["table_name"], row["rule"]): row for row in rows} for rows in found)
        rules = [
            counted_on(self._previous[key], before[key], row)
            for key, row in now.items()
            if key in before and key in self._previous
        ]
        known = [rule for rule in rules if rule is not None]
        return known if len(known) == len(now) else []


def counted_on(previous: Rule, before: Defect, now: Defect) -> Rule | None:
    """Return the result of a rule after some rows have changed, from the previous one and those of these rows alone.

    None if the first or the last row that broke the rule may no longer do so: which one takes its place is not known.
    """
    checked = previous["checked"] - (before["checked"] or 0) + (now["checked"] or 0)
    others = previous["failed"] - (before["failed"] or 0)
    failed = others + (now["failed"] or 0)
    if others < 0 or not 0 <= failed <= checked:
        # The previous result is not that of all rows.
        return None
    keys = _ends(now)
    if others:
        shown = [int(key.partition("=")[2]) for key in previous["sample_keys"].split("; ")]
        if {shown[0], shown[-1]} & {*_ends(before)}:
            return None
        keys += shown
    ends = {"first_key": str(min(keys)), "last_key": str(max(keys))} if keys else {}
    return _defect(now | {"checked": checked, "failed": failed} | ends)


def _ends(row: Defect) -> list[int]:
    """Return the keys of the first and the last row that break a rule, if any does."""
    return [int(row[name]) for name in ("first_key", "last_key") if row[name] is not None]


def _with_scores(rules: pl.DataFrame) -> pl.DataFrame:
    """Return the rules with what they are, and three scores. Rules of severity `info` affect none of these.

    The scores of a table and of its dimensions are the lowest pass rates of their rules. The overall score is the share
    of business rules that pass.
    """
    counts = pl.col("severity") != "info"
    is_about_content = pl.col("dimension").is_in(CONTENT) & ~pl.col("rule").is_in(TECHNICAL)
    rate = pl.when(counts).then(pl.col("pass_rate"))
    return rules.with_columns(
        is_business_rule=counts
        & pl.col("table_name").is_in(list(SOURCE_TABLES))
        & (is_about_content | pl.col("rule").is_in([VOLUME, DUPLICATES])),
        systematic=(pl.col("failed") == pl.col("checked")) & (pl.col("checked") > 1),
        dimension_score=rate.min().over("table_name", "dimension"),
        table_score=rate.min().over("table_name"),
    ).with_columns(overall_score=(pl.col("pass_rate").filter(pl.col("is_business_rule")) == 1).mean())


_TYPES = {"checked": pl.Int64(), "failed": pl.Int64()}


def _checks(checks: pl.DataFrame) -> list[Rule]:
    """Return the results of the Soda checks and references; a check that does not count rows counts as one row."""
    rows = []
    for row in checks.iter_rows(named=True):
        passed = row["outcome"] == "pass"
        counts = row["failed"] is not None and row["published_rows"] > 0
        failed = row["failed"] if counts else int(not passed)
        rows.append(
            _rule(
                row["table_name"],
                row["rule"],
                row["dimension"],
                "warning" if row["outcome"] == "warn" else "error",
                max(row["published_rows"], failed) if counts else 1,
                0 if passed else failed,
                json.loads(row["examples"]),
            )
        )
    return rows


def _contracts(published: pl.DataFrame, set_aside: pl.DataFrame) -> list[Rule]:
    contracts = published.join(set_aside, on="table_name", how="left").with_columns(pl.col("failed").fill_null(0))
    return [
        _rule(
            row["table_name"],
            CONTRACT,
            "validity",
            "error",
            row["published_rows"] + row["failed"],
            row["failed"],
            sorted({_key(row["table_name"], key) for key in (row["first_key"], row["last_key"]) if key}),
        )
        for row in contracts.iter_rows(named=True)
    ]


def _readings(readings: pl.DataFrame) -> list[Rule]:
    """Return a rule per table that fails if the source has newer data that could not be published."""
    return [
        _rule(row["table_name"], "newest_reading_is_published", "freshness", "error", 1, int(row["blocked"]), [])
        for row in readings.iter_rows(named=True)
    ]


def _key(table: str, row_key: str) -> str:
    """Return the key of a row without personal data: a phone number, for example, is part of a key."""
    entry = SOURCE_TABLES.get(table)
    hidden = {*entry.personal, *entry.protected} if entry else set()
    return ", ".join(f"{name}={value}" for name, value in json.loads(row_key).items() if name not in hidden)


def _volumes(volumes: pl.DataFrame) -> list[Rule]:
    rows = []
    for (table,), months in sorted(volumes.group_by("table_name"), key=lambda group: group[0]):
        unusual = anomalous_months(dict(months.select("month", "events").iter_rows()))
        keys = [f"month={key_of(month)}" for month in unusual]
        checked = max(months.height - 2, 0)
        rows.append(_rule(str(table), VOLUME, "volume", "warning", checked, len(unusual), keys))
    return rows


def _orders(orders: pl.DataFrame) -> Rule:
    """Return the rule that finds booking months of which a channel lost orders."""
    found: list[tuple[date, str]] = []
    for (channel,), months in orders.group_by("channel"):
        counted = dict(months.select("month", "orders").iter_rows())
        found += [(month, str(channel)) for month in depleted_months(counted, CYCLES[str(channel)])]
    keys = [f"channel={channel}, month={key_of(month)}" for month, channel in sorted(found)]
    return _rule("Sales_SalesOrderHeader", ORDERS, "completeness", "warning", orders.height, len(found), keys)


def _duplicates(persons: pl.DataFrame) -> Rule:
    pairs = probable_duplicates(persons)
    keys = [f"BusinessEntityID={one} and {other}" for one, other in pairs]
    # Three records of one person make three pairs, but only two duplicates.
    people, duplicates = persons["person_id"].n_unique(), len({other for _, other in pairs})
    return _rule("Person_Person", DUPLICATES, "uniqueness", "warning", people, duplicates, keys)


def _defect(row: Defect) -> Rule:
    ends = dict.fromkeys(key for key in (row["first_key"], row["last_key"]) if key)
    keys = [f"{row['key_name']}={key}" for key in ends]
    # A sum over no rows is NULL.
    checked, failed = row["checked"] or 0, row["failed"] or 0
    return _rule(row["table_name"], row["rule"], row["dimension"], row["severity"], checked, failed, keys)


def _numbers(read: Read, set_aside: pl.DataFrame) -> list[Rule]:
    """Return the rules about numbers that are missing. Which ones is only looked up if there are any."""
    found = read("numbers")
    ends: dict[str, Defect] = {}
    if found["failed"].sum():
        ends = {row["table_name"]: row for row in read("gaps").iter_rows(named=True)}
    nothing = {"first_key": None, "last_key": None}
    return [
        _loss(row | ends.get(row["table_name"], nothing), (row["table_name"],), set_aside)
        for row in found.iter_rows(named=True)
    ]


def _sides(found: pl.DataFrame, beginnings: Mapping[str, datetime | None] | None = None) -> list[Defect]:
    """Return the two rules about lines and their movements, from their results by moment.

    `beginnings`: the moments from which on rows are checked, by their names in `SIDES`; by default, all rows are.
    """
    rows: list[Defect] = []
    for rule, side in SIDES.items():
        checked = found.filter(rule=rule)
        if beginnings is not None:
            checked = checked.filter(pl.col("happened") >= beginnings[side.since])
        sums = checked.select(
            pl.col("checked", "failed").sum(),
            first_key=pl.col("first_key").min().cast(pl.String),
            last_key=pl.col("last_key").max().cast(pl.String),
        ).row(0, named=True)
        named = {"table_name": side.table, "rule": rule, "key_name": side.key_name}
        rows.append({**named, "dimension": "completeness", "severity": "warning", **sums})
    return rows


def _loss(row: Defect, counterparts: Collection[str], set_aside: pl.DataFrame) -> Rule:
    """Return a rule about missing rows. As many as were set aside are not lost: they are in quarantine."""
    known = set_aside.filter(pl.col("table_name").is_in(list(counterparts)))["failed"].sum()
    return _defect(row | {"failed": max((row["failed"] or 0) - known, 0)})


def _rule(table: str, rule: str, dimension: str, severity: str, checked: int, failed: int, keys: list[str]) -> Rule:
    shown = "; ".join(keys[:MAX_KEYS]) if failed else ""
    return dict(zip(RULE, (table, rule, dimension, severity, checked, failed, shown), strict=True))
