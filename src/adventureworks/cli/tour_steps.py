"""The steps of `adventureworks tour`: what each does, what the platform does about it, and where to look.

What a step waits for is a function of two snapshots, so it can be decided without a platform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from shlex import quote
from typing import Any

import psycopg

from adventureworks import airflow_tables
from adventureworks.catalog import INGESTION, MARTS
from adventureworks.cli import quarantine
from adventureworks.cli.approve import approve
from adventureworks.cli.source import simulate
from adventureworks.embedded.airflow_api import Metadata
from adventureworks.embedded.services import Endpoints, services
from adventureworks.errors import PlatformError
from adventureworks.errors import Step as NextStep
from adventureworks.gate import quarantine_file
from adventureworks.gate.row_text import RowText
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings
from adventureworks.texts.plain import listed
from adventureworks.warehouse import decisions
from adventureworks.warehouse.postgres import PostgresWarehouse, Records
from adventureworks.warehouse.state import AssetState, asset_states

HEADERS, LINES, RATES = "Sales_SalesOrderHeader", "Sales_SalesOrderDetail", "Sales_CurrencyRate"
LINES_FILE = "lines.csv"
MOST_NAMED = 6
APPROVAL = "rates of the bolívar are no longer kept"

BREAK_LINE = """
    update "Sales"."SalesOrderDetail" set "OrderQty" = 0
    where "SalesOrderDetailID" = (select max("SalesOrderDetailID") from "Sales"."SalesOrderDetail")
"""
REPAIR_LINE = """
    update "Sales"."SalesOrderDetail"
    set "OrderQty" = round("LineTotal" / ("UnitPrice" * (1 - "UnitPriceDiscount"))) where "OrderQty" = 0
"""
PREPARE_ARCHIVE = (
    "create schema if not exists tour",
    'create table if not exists tour.currency_rate (like "Sales"."CurrencyRate")',
)
ARCHIVE_RATES = (
    *PREPARE_ARCHIVE,
    'insert into tour.currency_rate select * from "Sales"."CurrencyRate" where "ToCurrencyCode" = \'VEB\'',
    'delete from "Sales"."CurrencyRate" where "ToCurrencyCode" = \'VEB\'',
)
RESTORE_RATES = (
    *PREPARE_ARCHIVE,
    'insert into "Sales"."CurrencyRate" select * from tour.currency_rate on conflict do nothing',
    "delete from tour.currency_rate",
)
REPAIR = (REPAIR_LINE, *RESTORE_RATES)
"""Undoes what an interrupted tour has left broken; changes nothing if nothing is broken."""
REPORTED_MONTH = """
    select max(month) from ops.monthly_report where (announced or status = 'restated') and not is_partial
"""
"""The newest month of which a changed report counts as restated. Without a mail server, no later month is announced,
and the restatement of an earlier tour stays unannounced."""
OLD_LINE = """
    select "SalesOrderID", min("SalesOrderDetailID") filter (where "OrderQty" < 9)
    from "Sales"."SalesOrderDetail" join "Sales"."SalesOrderHeader" using ("SalesOrderID")
    where to_char("OrderDate", 'YYYY-MM') = %s
    group by 1 having count(*) filter (where "OrderQty" < 9) > 1 order by 1 limit 1
"""
"""An order of a month with several lines, and one that stays below the next volume discount with one more piece."""
SELL_ONE_MORE = (
    """
    update "Sales"."SalesOrderDetail" set "OrderQty" = "OrderQty" + 1,
        "LineTotal" = round("UnitPrice" * (1 - "UnitPriceDiscount") * ("OrderQty" + 1), 6)
    where "SalesOrderDetailID" = %(line)s
    """,
    """
    update "Sales"."SalesOrderHeader" as h
    set "SubTotal" = lines.total, "TotalDue" = lines.total + h."TaxAmt" + h."Freight"
    from (
        select round(sum("LineTotal"), 4) as total from "Sales"."SalesOrderDetail" where "SalesOrderID" = %(order)s
    ) as lines
    where h."SalesOrderID" = %(order)s
    """,
)


@dataclass(frozen=True)
class Snapshot:
    """The platform's records and the state of Airflow at one moment."""

    states: Mapping[str, AssetState]
    """By asset."""
    corrections: int
    """How many corrected rows are in force."""
    restated: Mapping[str, int]
    """The revision of each monthly report that was restated, by month."""
    working: str
    """What Airflow is doing; empty if no run is queued or running, and every event has started its runs."""

    @property
    def is_settled(self) -> bool:
        """Whether everything that the source delivers is published, and nothing is left to compute or to repair."""
        obtainable = [state for state in self.states.values() if state.is_obtainable]
        repaired = not (self.states[LINES].set_aside or self.corrections)
        return repaired and not self.working and all(state.fresh for state in obtainable)

    def version(self, asset: str) -> int:
        """Return the version that readers see; 0 if there is none."""
        return self.states[asset].version or 0

    def published_since(self, before: Snapshot) -> list[str]:
        """Return the tables and marts with a newer version than before."""
        return [asset for asset in self.states if self.version(asset) > before.version(asset)]

    def restated_since(self, before: Snapshot) -> list[str]:
        """Return the months whose reports have been restated since."""
        return sorted(month for month, revision in self.restated.items() if revision > before.restated.get(month, 0))


Condition = Callable[[Snapshot, Snapshot], bool]
"""Decides from the snapshots before the act and now."""


@dataclass(frozen=True)
class Place:
    """Where something can be seen: the path of a page of the UI, or a command of `adventureworks`."""

    what: str
    path: str = ""
    command: str = ""

    def shown(self, url: str, home: Path) -> str:
        """Return the address, or the command on the tour's data. `home`: the tour's."""
        return f"{self.what}: {url}{self.path}" if self.path else f"{self.what}: {command_for(home, self.command)}"


@dataclass(frozen=True)
class Part:
    """One change, and what the platform does about it."""

    what: str
    """What is done, as an instruction."""
    act: Callable[[Settings], None]
    wait_for: str
    """What is awaited, as the end of a sentence that begins with "Waiting until"."""
    is_reached: Condition
    seen: Callable[[Snapshot, Snapshot], str]
    """What happened, from the snapshots before the act and now."""
    where_to_look: tuple[Place, ...]
    command: str = ""
    """The command of `adventureworks` that does it, if there is one."""


@dataclass(frozen=True)
class Step:
    """A step of the tour. It starts and ends with everything published and nothing broken."""

    title: str
    parts: tuple[Part, ...]


def command_for(home: Path, command: str = "") -> str:
    """Return the command line that starts the tour, or that runs a command on its data. `home`: the tour's."""
    is_default = home.parent == Settings.model_fields["home"].default
    variable = "" if is_default else f"ADVENTUREWORKS_HOME={quote(str(home.parent))} "
    return f"{variable}adventureworks tour {command}".rstrip()


def tidy(settings: Settings) -> None:
    """Undo at the source what an interrupted tour left broken. The tables of the source must exist."""
    _change(settings, *REPAIR)


def look(settings: Settings, addresses: Endpoints) -> Snapshot:
    """Return a snapshot of the running platform. Raises `ServiceUnavailable` if a database does not answer."""
    with Metadata(addresses.metadata_url).connect() as airflow:
        runs, pending = airflow_tables.active_runs(airflow), airflow_tables.pending_events(airflow)
    with PostgresWarehouse(Records(addresses.reader_url)).connect("tour") as session:
        records = session.records
        decided = decide_now(settings, session)
        return Snapshot(
            states={state.asset: state for state in asset_states(records, decided)},
            corrections=sum(one.rows for one in decisions.in_force(records, LINES) if one.kind == decisions.CORRECTED),
            restated=dict(
                records.execute("select month, revision from ops.monthly_report where status = 'restated'").fetchall()
            ),
            working=" | ".join(map(str, runs)) or ("events are starting runs" if pending else ""),
        )


def with_quantity(row: RowText) -> dict[str, str | None]:
    """Return an exported order line with the quantity that its total implies."""
    price, discount, total = (Decimal(row[name] or 0) for name in ("UnitPrice", "UnitPriceDiscount", "LineTotal"))
    return {**row, "OrderQty": f"{total / (price * (1 - discount)):.0f}"}


def _change(settings: Settings, *statements: str) -> None:
    """Run statements on the source in one transaction."""
    with services(settings) as addresses, psycopg.connect(addresses.source_owner_url.get_secret_value()) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _repair_line(settings: Settings) -> None:
    """Export the rows in quarantine, edit the file as a person would, and replay it."""
    file = settings.home / LINES_FILE
    file.unlink(missing_ok=True)
    quarantine.export(settings, LINES, file, None)
    rows = [with_quantity(row) for row in quarantine_file.read(file)]
    file.write_bytes(quarantine_file.written(list(rows[0]), rows, "csv"))
    quarantine.run_replay(settings, LINES, file, "", None, False)


def sell_one_more(source: psycopg.Connection[Any], month: str) -> None:
    """Add one piece to an order of a month (`2014-04`). Raises `PlatformError` if no order is left that fits."""
    found = source.execute(OLD_LINE, (month,)).fetchone()
    if found is None:
        raise PlatformError(
            f"No order of {month} can grow any more: each tour adds a piece to one.",
            "Delete the folder of the tour to start again with new data.",
        )
    order, line = found
    for statement in SELL_ONE_MORE:
        source.execute(statement.encode(), {"order": order, "line": line})


def reported_month(warehouse: psycopg.Connection[Any]) -> str:
    """Return the newest month whose report would be restated (`2014-04`). Raises `PlatformError` if there is none."""
    [(month,)] = warehouse.execute(REPORTED_MONTH).fetchall()
    if month is None:
        raise PlatformError(
            "There is no report of a complete month yet, so none can be restated.",
            NextStep("See why:", "adventureworks status monthly_profit"),
        )
    return str(month)


def _sell_one_more(settings: Settings) -> None:
    with (
        services(settings) as addresses,
        psycopg.connect(addresses.reader_url.get_secret_value()) as warehouse,
        psycopg.connect(addresses.source_owner_url.get_secret_value()) as source,
    ):
        sell_one_more(source, reported_month(warehouse))


def _is_published(asset: str) -> Condition:
    """Return the condition that an asset has a new version and everything else is settled."""
    return lambda before, now: now.version(asset) > before.version(asset) and now.is_settled


def _what_was_published(before: Snapshot, now: Snapshot) -> str:
    new = now.published_since(before)
    marts = [asset for asset in new if asset in MARTS]
    return (
        f"New versions: {len(new) - len(marts)} of {len(now.states) - len(MARTS)} source tables and {len(marts)} of"
        f" {len(MARTS)} marts ({listed(marts, MOST_NAMED) or 'none'}). Everything else stayed as it was."
    )


def _why_blocked(before: Snapshot, now: Snapshot) -> str:
    rules = "; ".join(now.states[RATES].broken_rules)
    return f"{RATES} is blocked by {rules} Readers keep version {before.version(RATES)}."


def _what_was_restated(before: Snapshot, now: Snapshot) -> str:
    months = ", ".join(now.restated_since(before))
    return f"{_what_was_published(before, now)} Restated report: {months}."


INGESTION_RUNS = Place("The ingestion in Airflow", path=f"/dags/{INGESTION}")
QUALITY = Place("Version and verdict of each table and mart", path="/dashboard/quality")
INCIDENTS = Place("The incident", path="/dashboard/incidents")

STEPS = (
    Step(
        "A change flows to every figure that depends on it",
        (
            Part(
                what="Simulate a business day at the source.",
                command="source simulate",
                act=lambda settings: simulate(settings, 1, None),
                wait_for="the new rows are published and every figure is computed",
                is_reached=_is_published(HEADERS),
                seen=_what_was_published,
                where_to_look=(
                    Place("The figures", path="/dashboard/overview"),
                    INGESTION_RUNS,
                    QUALITY,
                    Place("What a mart was computed from", command="status daily_sales"),
                ),
            ),
        ),
    ),
    Step(
        "A bad row is set aside, and repaired",
        (
            Part(
                what="Set the quantity of the newest order line to 0 at the source.",
                act=lambda settings: _change(settings, BREAK_LINE),
                wait_for="the row is set aside",
                is_reached=lambda _, now: now.states[LINES].set_aside > 0 and not now.working,
                seen=lambda _, now: (
                    f"{now.states[LINES].set_aside} row is in quarantine. Its last good version stays published,"
                    " and so does every figure."
                ),
                where_to_look=(
                    INCIDENTS,
                    Place("The row", command=f"quarantine show {LINES}"),
                    INGESTION_RUNS,
                ),
            ),
            Part(
                what="Export the row to a file, correct its quantity in the file, and replay the file.",
                act=_repair_line,
                wait_for="the corrected row is published",
                is_reached=lambda _, now: not (now.states[LINES].set_aside or now.working) and now.corrections > 0,
                seen=lambda _, now: (
                    f"The quarantine is empty, and {now.corrections} correction is in force: the source still delivers"
                    " the bad row, and the corrected one takes its place."
                ),
                where_to_look=(
                    Place("The correction, with who made it", command=f"quarantine list {LINES}"),
                    Place("The incident, now resolved", path="/dashboard/incidents"),
                ),
            ),
            Part(
                what="Correct the quantity at the source too.",
                act=lambda settings: _change(settings, REPAIR_LINE),
                wait_for="the row of the source is published again",
                is_reached=lambda _, now: now.is_settled,
                seen=lambda _before, _now: "The correction has ended, because the source changed the row.",
                where_to_look=(Place("No decision is in force", command=f"quarantine list {LINES}"),),
            ),
        ),
    ),
    Step(
        "A table is blocked, and released",
        (
            Part(
                what="Delete all exchange rates of the Venezuelan bolívar at the source.",
                act=lambda settings: _change(settings, *ARCHIVE_RATES),
                wait_for=f"{RATES} is blocked",
                is_reached=lambda _, now: now.states[RATES].verdict == "blocked" and not now.working,
                seen=_why_blocked,
                where_to_look=(
                    INCIDENTS,
                    QUALITY,
                    Place("Why, and who reads it", command=f"status {RATES}"),
                ),
            ),
            Part(
                what="Approve the loss.",
                command=f'approve {RATES} --reason "{APPROVAL}"',
                act=lambda settings: approve(settings, RATES, APPROVAL, None),
                wait_for="the approved content is published",
                is_reached=_is_published(RATES),
                seen=_what_was_published,
                where_to_look=(
                    Place("The approval, with who gave it", command=f"status {RATES}"),
                    Place("The run of the analysis", path=f"/dags/{MARTS['exchange_rates'].dag}"),
                ),
            ),
            Part(
                what="Put the rates back at the source, so that the tour can be repeated.",
                act=lambda settings: _change(settings, *RESTORE_RATES),
                wait_for="the rates are published again",
                is_reached=_is_published(RATES),
                seen=_what_was_published,
                where_to_look=(QUALITY,),
            ),
        ),
    ),
    Step(
        "A month is restated",
        (
            Part(
                what="Add one piece to an order of a month whose report is out, at the source.",
                act=_sell_one_more,
                wait_for="the month is computed again and its report is filed",
                is_reached=lambda before, now: bool(now.restated_since(before)) and now.is_settled,
                seen=_what_was_restated,
                where_to_look=(
                    Place("The reports", path="/dashboard/reports"),
                    Place("The run that filed them", path=f"/dags/{MARTS['monthly_profit'].dag}"),
                    Place("The changed months", command="status fact_sales"),
                ),
            ),
        ),
    ),
)
