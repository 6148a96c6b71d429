"""Deliveries straight into staging, to test only the steps that check the profile of a change."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path

import polars as pl

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.gate import profiling
from adventureworks.gate.checks import CheckOutcome
from adventureworks.gate.contract import validate
from adventureworks.gate.load import protected
from adventureworks.settings import Settings
from adventureworks.source import open_source
from adventureworks.warehouse import candidate, layout, open_warehouse, publication
from adventureworks.warehouse.staging import SAME, StagedTable
from adventureworks.warehouse.staging import count as rows_of
from tests.conftest import WORKER

_numbers = count(1)


def typed(folder: Path, *assets: str) -> dict[str, pl.DataFrame]:
    """Return the tables of a folder with the contract's types."""
    with open_source(Settings(source=str(folder))).snapshot() as snapshot:
        return {
            asset: protected(
                SOURCE_TABLES[asset],
                pl.concat(validate(SOURCE_TABLES[asset], batch).good for batch in snapshot.rows(SOURCE_TABLES[asset])),
            )
            for asset in assets
        }


class Deliveries:
    """A warehouse that accepts frames as deliveries."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.warehouse = open_warehouse(settings)
        self.run = ""
        with self.warehouse.connect("test") as session:
            layout.prepare(session)

    def deliver(self, frames: Mapping[str, pl.DataFrame], *, whole: bool = False) -> list[CheckOutcome]:
        """Stage frames of changed rows or whole tables, and check their profiles."""
        self.run = f"ingest_source/delivery_{WORKER}_{next(_numbers)}"
        tables = [StagedTable(SOURCE_TABLES[asset]) for asset in sorted(frames)]
        with self.warehouse.connect("test") as session:
            attempt = candidate.begin(session.records, self.run, frames)
            for staged in tables:
                staged.start(session.data)
        with self.warehouse.bulk_loader() as append:
            for staged in tables:
                append("staging", staged.rows_table, frames[staged.asset].with_columns(pl.lit(False).alias(SAME)))
        with self.warehouse.connect("test") as session:
            for staged in tables:
                staged.settle(session.data, whole=whole, find_gone=whole)
                staged.show_candidate(session.data)
        return profiling.judge_changes(
            self.settings, attempt, tables, accepted=(), batch={staged.asset: staged for staged in tables}
        )

    def publish(self, *assets: str) -> None:
        """Publish the last delivery of these tables."""
        with self.warehouse.connect("test") as session:
            for asset in assets:
                staged = StagedTable(SOURCE_TABLES[asset])
                effect, _ = publication.merge(session.data, staged, None)
                publication.record(
                    session.records,
                    asset=asset,
                    rows=rows_of(session.data, staged.published),
                    changed_rows=effect.upserts,
                    months=None,
                    set_aside=0,
                    verdict="passed",
                    run_id=self.run,
                )
                profiling.publish_profiles(session.records, asset, self.run)
                layout.show_published(session.data, SOURCE_TABLES[asset])

    def accept(self, frames: Mapping[str, pl.DataFrame], *, whole: bool = False) -> list[CheckOutcome]:
        """Deliver and publish, whatever the checks found."""
        found = self.deliver(frames, whole=whole)
        self.publish(*frames)
        return found
