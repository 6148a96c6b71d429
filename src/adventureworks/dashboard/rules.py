"""The results of the newest data quality run: scores, and the rules that fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from adventureworks.catalog import owner_of
from adventureworks.charts.dashboard import sparkline
from adventureworks.warehouse.session import Data, Session

RUNS = 13
"""The number of runs in a rule's trend, the newest one included."""

_NEWEST = "run_number = (select max(run_number) from marts.data_quality)"


@dataclass(frozen=True)
class FailingRule:
    """A rule that something broke in the newest run."""

    table: str
    rule: str
    dimension: str
    severity: str
    owner: str
    checked: int
    failed: int
    systematic: bool
    """Whether everything that was checked breaks it."""
    change: Decimal | None
    """The share that breaks it minus that of the run before: above 0 is worse. None if the rule is new."""
    spark: str
    """Points of a sparkline of the share that breaks it in the last runs; empty before the second run."""

    @property
    def share(self) -> Decimal:
        """The share of what was checked that breaks it."""
        return Decimal(self.failed) / self.checked


@dataclass(frozen=True)
class Quality:
    """The result of a data quality run."""

    overall: Decimal | None
    """The share of business rules that pass; None before the first run."""
    at: datetime | None
    dimensions: tuple[tuple[str, Decimal], ...]
    """By dimension, the lowest first: the share of rules that pass, technical ones included."""
    failing: tuple[FailingRule, ...]
    """Errors first, then warnings; within these, the rule that the greatest share breaks."""


def quality(session: Session) -> Quality:
    """Return the results of the newest run."""
    # Scores from before the column `is_business_rule` are of another kind.
    overall = session.data.execute(
        f"select min(overall_score) from marts.data_quality where {_NEWEST} and is_business_rule is not null"
    ).fetchone()
    at = session.records.execute(
        "select max(published_at) from ops.publication where asset = 'data_quality'"
    ).fetchone()
    dimensions = session.data.execute(
        "select dimension, sum(case when failed = 0 then 1 else 0 end)::numeric / count(*) from marts.data_quality"
        f" where {_NEWEST} and checked > 0 and severity <> 'info' group by dimension order by 2, 1"
    ).fetchall()
    return Quality(
        overall=overall[0] if overall else None,
        at=at[0] if at else None,
        dimensions=tuple((row[0], row[1]) for row in dimensions),
        failing=tuple(_failing(session.data)),
    )


def matching(rules: Iterable[FailingRule], words: str, dimension: str, owner: str) -> tuple[FailingRule, ...]:
    """Return the rules of a dimension and an owner whose table and name contain all words; an empty choice is any."""

    def found(rule: FailingRule) -> bool:
        names = f"{rule.table} {rule.rule} {rule.rule.replace('_', ' ')}".casefold()
        return (
            dimension in ("", rule.dimension)
            and owner in ("", rule.owner)
            and all(word in names for word in words.casefold().split())
        )

    return tuple(rule for rule in rules if found(rule))


def _failing(data: Data) -> Iterator[FailingRule]:
    rows = data.execute(
        "select table_name, rule, dimension, severity, checked, failed, systematic, change from marts.data_quality"
        f" where {_NEWEST} and failed > 0 order by case severity when 'error' then 0 when 'warning' then 1 else 2 end,"
        " pass_rate, failed desc, table_name, rule"
    ).fetchall()
    sparks = _sparks(data)
    for table, rule, dimension, severity, checked, failed, systematic, change in rows:
        yield FailingRule(
            table,
            rule,
            dimension,
            severity,
            owner_of(table),
            checked,
            failed,
            bool(systematic),
            None if change is None else -Decimal(str(change)),
            sparks.get((table, rule), ""),
        )


def _sparks(data: Data) -> dict[tuple[str, str], str]:
    """Return the sparkline of each failing rule by table and rule."""
    rows = data.execute(
        "select past.table_name, past.rule, newest.run_number - past.run_number, past.failed, past.checked"
        " from marts.data_quality as newest join marts.data_quality as past"
        " on past.table_name = newest.table_name and past.rule = newest.rule"
        " where newest.run_number = (select max(run_number) from marts.data_quality) and newest.failed > 0"
        " and past.run_number > newest.run_number - %s and past.checked > 0",
        (RUNS,),
    ).fetchall()
    shares: dict[tuple[str, str], list[Decimal | None]] = {}
    for table, rule, runs_ago, failed, checked in rows:
        shares.setdefault((table, rule), [None] * RUNS)[RUNS - 1 - runs_ago] = Decimal(failed) / checked
    return {rule: sparkline(values) for rule, values in shares.items()}
