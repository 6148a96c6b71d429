"""Business that goes on in a source database, day after day after its newest order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from adventureworks.errors import PlatformError
from adventureworks.source.postgres_errors import Address, translated
from adventureworks.source.sample.business import market, plant, shop
from adventureworks.source.sample.business.journal import Changes, Journal, Row, note

Progress = Callable[[date, int], None]
"""Called after each day with the rows that it changed."""

_ONE_AT_A_TIME = 0x41_57_42  # two simulations at once would take the same numbers
_DEFAULT_SEED = 0


def simulate(
    url: str, days: int, seed: int | None = None, progress: Progress = lambda _day, _rows: None
) -> dict[str, int]:
    """Lets business go on for `days` days after the newest order; returns how many rows differ then, by asset.

    New orders of both channels, now and then with a new customer; price changes, offers, exchange rates; stock, work
    orders and purchases that move on; corrections, and a few deletes. ModifiedDate is the business time. Each day is
    one transaction, so an interruption leaves whole days. The same database and seed give the same days. Raises
    PlatformError where the source has no orders, ServiceUnavailable where it does not answer.
    """
    address = Address.of(SecretStr(url))
    total: Changes = {}
    with translated(address):
        connection = psycopg.connect(address.conninfo.get_secret_value(), autocommit=True, row_factory=dict_row)
        with closing(connection):
            connection.execute("set timezone to 'UTC'")
            newest = _newest_order(connection)
            for ahead in range(1, days + 1):
                changes = _live(connection, newest + timedelta(days=ahead), _DEFAULT_SEED if seed is None else seed)
                for asset, events in changes.items():
                    for key, event in events.items():
                        note(total, asset, key, event)
                progress(newest + timedelta(days=ahead), sum(map(len, changes.values())))
    return {asset: len(events) for asset, events in sorted(total.items()) if events}


def _newest_order(connection: psycopg.Connection[Row]) -> date:
    row = connection.execute('select max("OrderDate")::date as day from "Sales"."SalesOrderHeader"').fetchone()
    if row is None or row["day"] is None:
        raise PlatformError("The source holds no orders to go on from.", "Fill it: adventureworks source generate")
    newest: date = row["day"]
    return newest


def _live(connection: psycopg.Connection[Row], today: date, seed: int) -> Changes:
    """One day, all of it or nothing. Money and prices come first: orders are taken at those of the day."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_ONE_AT_A_TIME,))
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
