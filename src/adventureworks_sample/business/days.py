"""Simulation of business days in a source database, from the day after its newest order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from adventureworks.errors import PlatformError, Step
from adventureworks.source.addresses import PostgresAddress
from adventureworks.source.postgres_errors import translated
from adventureworks_sample.business import market, plant, shop
from adventureworks_sample.business.journal import Changes, Journal, Row, note

Progress = Callable[[date, int], None]
"""Called after each day with the number of rows that it changed."""

_ADVISORY_LOCK = 0x41_57_42  # two concurrent simulations would take the same ids
_DEFAULT_SEED = 0


def simulate(
    url: str, days: int, seed: int | None = None, progress: Progress = lambda _day, _rows: None
) -> dict[str, int]:
    """Simulate `days` days after the newest order; return the number of changed rows by asset.

    There are new orders in both channels, some of new customers; changes of prices, offers and exchange rates; progress
    of stock, work orders and purchases; corrections, and a few deletes. ModifiedDate is the business time. Each day is
    one transaction, so an interruption leaves complete days. The same database and seed produce the same days. Raises
    `PlatformError` if the source has no orders, `ServiceUnavailable` if it does not answer.
    """
    address = PostgresAddress.of(SecretStr(url))
    total: Changes = {}
    with translated(address):
        connection = psycopg.connect(address.conninfo.get_secret_value(), autocommit=True, row_factory=dict_row)
        with closing(connection):
            connection.execute("set timezone to 'UTC'")
            newest = _newest_order(connection)
            for ahead in range(1, days + 1):
                changes = _simulate_day(
                    connection, newest + timedelta(days=ahead), _DEFAULT_SEED if seed is None else seed
                )
                for asset, events in changes.items():
                    for key, event in events.items():
                        note(total, asset, key, event)
                progress(newest + timedelta(days=ahead), sum(map(len, changes.values())))
    return {asset: len(events) for asset, events in sorted(total.items()) if events}


def _newest_order(connection: psycopg.Connection[Row]) -> date:
    row = connection.execute('select max("OrderDate")::date as day from "Sales"."SalesOrderHeader"').fetchone()
    if row is None or row["day"] is None:
        raise PlatformError(
            "The source has no orders to continue from.", Step("Fill it:", "adventureworks source generate")
        )
    newest: date = row["day"]
    return newest


def _simulate_day(connection: psycopg.Connection[Row], today: date, seed: int) -> Changes:
    """Simulate one day in one transaction. Rates and prices come first, since the day's orders use them."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_ADVISORY_LOCK,))
        journal = Journal(connection, today, seed)
        market.exchange_rates(journal)
        market.new_prices(journal)
        market.offers(journal)
        market.quotas(journal)
        shop.ship(journal)
        shop.sell(journal)
        plant.work_orders(journal)
        plant.purchases(journal)
        market.carts(journal)
        market.corrections(journal)
        market.archive(journal)
    return journal.changes
