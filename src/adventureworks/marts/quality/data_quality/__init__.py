"""Data quality: every rule that was checked, known defects, missing values and rows, duplicates, unusual volumes."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import polars as pl

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.marts.models import Read
from adventureworks.marts.quality.data_quality.anomalies import anomalous_months, depleted_months
from adventureworks.marts.quality.data_quality.duplicates import probable_duplicates
from adventureworks.months import key_of

DEFECTS = ("sales_defects", "product_defects", "person_defects")
LOSSES = ("numbers", "movements")
"""SELECTs of rules about rows that are missing although other rows imply them."""
COUNTERPARTS = {
    "line_has_its_movement": ("Production_TransactionHistory", "Production_TransactionHistoryArchive"),
    "movement_has_its_line": ("Sales_SalesOrderDetail",),
}
"""By rule of these SELECTs: the tables whose rows it misses, if not those of its own table."""
MAX_KEYS = 3
CONTRACT = "rows_keep_the_contract"
VOLUME, ORDERS, DUPLICATES = "monthly_volume_is_usual", "months_have_their_orders", "person_is_there_once"
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

_RULE = ("table_name", "rule", "dimension", "severity", "checked", "failed", "sample_keys")


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return one row per rule with this run's result; the rows of earlier runs stay published."""
    rules = [
        *_checks(read("checks")),
        *_contracts(read("contracts"), read("set_aside")),
        *_readings(read("readings")),
        *_volumes(read("volumes")),
        *losses(read),
        _duplicates(read("persons")),
    ]
    for name in DEFECTS:
        rules += [_defect(row) for row in read(name).iter_rows(named=True)]
    frame = pl.DataFrame(rules, schema={name: _TYPES.get(name, pl.String()) for name in _RULE})
    rate = 1 - pl.col("failed") / pl.col("checked")
    return (
        _with_scores(frame.with_columns(pass_rate=pl.when(pl.col("checked") > 0).then(rate)))
        .join(read("previous"), on=["table_name", "rule"], how="left")
        .with_columns(change=pl.col("pass_rate") - pl.col("previous_pass_rate").cast(pl.Float64), as_of=pl.lit(as_of))
        .join(read("run"), how="cross")
    )


def losses(read: Read) -> list[dict[str, Any]]:
    """Return the rules that find rows which the source did not deliver."""
    set_aside = read("set_aside")
    missing = [_loss(row, set_aside) for name in LOSSES for row in read(name).iter_rows(named=True)]
    return [*missing, _orders(read("orders"))]


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


def _checks(checks: pl.DataFrame) -> list[dict[str, Any]]:
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


def _contracts(published: pl.DataFrame, set_aside: pl.DataFrame) -> list[dict[str, Any]]:
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


def _readings(readings: pl.DataFrame) -> list[dict[str, Any]]:
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


def _volumes(volumes: pl.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for (table,), months in sorted(volumes.group_by("table_name"), key=lambda group: group[0]):
        unusual = anomalous_months(dict(months.select("month", "events").iter_rows()))
        keys = [f"month={key_of(month)}" for month in unusual]
        checked = max(months.height - 2, 0)
        rows.append(_rule(str(table), VOLUME, "volume", "warning", checked, len(unusual), keys))
    return rows


def _orders(orders: pl.DataFrame) -> dict[str, Any]:
    """Return the rule that finds booking months of which a channel lost orders."""
    found: list[tuple[date, str]] = []
    for (channel,), months in orders.group_by("channel"):
        counted = dict(months.select("month", "orders").iter_rows())
        found += [(month, str(channel)) for month in depleted_months(counted, CYCLES[str(channel)])]
    keys = [f"channel={channel}, month={key_of(month)}" for month, channel in sorted(found)]
    return _rule("Sales_SalesOrderHeader", ORDERS, "completeness", "warning", orders.height, len(found), keys)


def _duplicates(persons: pl.DataFrame) -> dict[str, Any]:
    pairs = probable_duplicates(persons)
    keys = [f"BusinessEntityID={one} and {other}" for one, other in pairs]
    # Three records of one person make three pairs, but only two duplicates.
    people, duplicates = persons["person_id"].n_unique(), len({other for _, other in pairs})
    return _rule("Person_Person", DUPLICATES, "uniqueness", "warning", people, duplicates, keys)


def _defect(row: dict[str, Any]) -> dict[str, Any]:
    ends = dict.fromkeys(key for key in (row["first_key"], row["last_key"]) if key)
    keys = [f"{row['key_name']}={key}" for key in ends]
    # A sum over no rows is NULL.
    checked, failed = row["checked"] or 0, row["failed"] or 0
    return _rule(row["table_name"], row["rule"], row["dimension"], row["severity"], checked, failed, keys)


def _loss(row: dict[str, Any], set_aside: pl.DataFrame) -> dict[str, Any]:
    """Return a rule about missing rows. As many as were set aside are not lost: they are in quarantine."""
    counterparts = COUNTERPARTS.get(row["rule"], (row["table_name"],))
    known = set_aside.filter(pl.col("table_name").is_in(counterparts))["failed"].sum()
    return _defect(row | {"failed": max((row["failed"] or 0) - known, 0)})


def _rule(
    table: str, rule: str, dimension: str, severity: str, checked: int, failed: int, keys: list[str]
) -> dict[str, Any]:
    shown = "; ".join(keys[:MAX_KEYS]) if failed else ""
    return dict(zip(_RULE, (table, rule, dimension, severity, checked, failed, shown), strict=True))
