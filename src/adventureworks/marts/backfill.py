"""Months of a mart that a user asks to have computed again, and what follows from that."""

from __future__ import annotations

from adventureworks.catalog import Mart, entry, mart_named
from adventureworks.due import Facts, Months, NothingToDo, Plan, foresee
from adventureworks.errors import PlatformError, Step
from adventureworks.marts.plan import read_facts
from adventureworks.months import between, key_of, requested
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import published_schema, table


def steps(
    settings: Settings, session: Session, mart: str, first: str, last: str
) -> tuple[Months, dict[str, Plan | NothingToDo]]:
    """Return the months to compute again, and what each analysis does then, in order, if all their rows change.

    `first`, `last`: 'YYYY-MM'; empty for a mart that is always computed whole. Raises `PlatformError` if the mart
    cannot be computed for these months.
    """
    facts = read_facts(settings, session)
    months = _months(facts, session.data, _mart(mart), first, last)
    return months, foresee(facts, {mart: months})


def _mart(name: str) -> Mart:
    mart = mart_named(name)
    if mart.tolerant:
        raise PlatformError(
            f"{name} reports on the current state and keeps a record of each run.",
            Step("Start a new run:", f"airflow dags trigger {mart.dag}"),
        )
    return mart


def _months(facts: Facts, data: Data, mart: Mart, first: str, last: str) -> Months:
    if not mart.incremental:
        if first or last:
            raise PlatformError(
                f"{mart.name} is always computed whole.",
                Step("Leave out the months:", f"adventureworks backfill {mart.name}"),
            )
        return None
    if not (first and last):
        raise PlatformError(
            f"{mart.name} is computed by month.",
            Step("Give the months:", f"adventureworks backfill {mart.name} --from 2014-01 --to 2014-03"),
        )
    begin, end = requested(first), requested(last)
    if begin > end:
        raise PlatformError(f"{first} is after {last}.", "Give the earlier month with --from.")
    known = _months_of_data(facts, data, mart)
    if known is None or not known[0] <= first <= last <= known[1]:
        there = f"has data from {known[0]} to {known[1]}" if known else "has no data yet"
        raise PlatformError(f"{mart.name} {there}, not for all of {first} to {last}.", "Give months within that range.")
    return between(begin, end)


def _months_of_data(facts: Facts, data: Data, mart: Mart) -> tuple[str, str] | None:
    """Return the first and the last month of a mart's rows and of its inputs by month, up to the business date."""
    found: list[str] = []
    for asset in (mart.name, *mart.by_month):
        one = entry(asset)
        if isinstance(one, Mart):
            column = one.dated
        elif one.month is not None and one.month.parent is None:
            column = one.month.column
        else:
            continue
        row = data.execute(
            f"select to_char(min({quoted(column)}), 'YYYY-MM'), to_char(max({quoted(column)}), 'YYYY-MM')"
            f" from {table(published_schema(one), asset)}"
        ).fetchone()
        found += [month for month in row or () if month]
    return (min(found), min(max(found), key_of(facts.as_of))) if found else None
