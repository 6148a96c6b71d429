"""The whole way of a change as plain calls, on real databases: what Airflow's tasks do, without Airflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg

from adventureworks.catalog import ANALYSES
from adventureworks.due import NothingToDo, Plan
from adventureworks.gate import detect, judge, load, publish
from adventureworks.gate.publish import Conclusion
from adventureworks.marts import build as building
from adventureworks.marts import gate as gating
from adventureworks.marts import plan as planning
from adventureworks.marts import publish as publishing
from adventureworks.settings import Settings
from adventureworks.warehouse.publication import Publication
from tests.conftest import WORKER

_numbers = count(1)


def _run_of(dag: str) -> str:
    """Return a run id that no other run has. The template of this database may have been filled by another worker."""
    return f"{dag}/{WORKER}_{next(_numbers)}"


@dataclass
class Ingested:
    """What one ingestion did."""

    loaded: list[str] = field(default_factory=list)
    published: dict[str, Publication] = field(default_factory=dict)
    conclusion: Conclusion = field(default_factory=lambda: Conclusion((), (), {}))

    @property
    def opened(self) -> dict[str, str]:
        """Rule by asset of the incidents that people are told of."""
        return {incident.asset: incident.rule for incident in self.conclusion.opened}

    @property
    def resolved(self) -> dict[str, str]:
        """Rule by asset of the incidents that are over."""
        return {incident.asset: incident.rule for incident in self.conclusion.resolved}


class Pipeline:
    """A source, a warehouse, and the steps between them."""

    def __init__(self, settings: Settings, source_url: str = "") -> None:
        self.settings = settings
        self._source_url = source_url

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Changes the source; returns the rows changed."""
        with psycopg.connect(self._source_url) as connection:
            return connection.execute(statement, parameters or None).rowcount

    def at_source(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Reads the source."""
        with psycopg.connect(self._source_url) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def published(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Reads the warehouse."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(query, parameters or None).fetchall()

    @property
    def url(self) -> str:
        """The warehouse's URL."""
        assert self.settings.warehouse_url is not None
        return self.settings.warehouse_url.get_secret_value()

    def ingest(self, *, everything: bool = False, accept: Sequence[str] = ()) -> Ingested:
        """Detect, load, check, publish, tell."""
        run = _run_of("ingest_source")
        groups = detect.detect(self.settings, run, everything=everything, accept=accept)
        done = Ingested(loaded=sorted(asset for group in groups for asset in group))
        if not groups and not detect.has_work(self.settings, run):
            return done
        for group in groups:
            load.load(self.settings, run, group)
        judge.judge(self.settings, run)
        done.published = {version.asset: version for version in publish.publish(self.settings, run)}
        done.conclusion = publish.conclude(self.settings, run)
        return done

    def analyse(self, dag: str = "daily_sales_etl") -> Plan | NothingToDo:
        """Plan, build, gate, publish."""
        run = _run_of(dag)
        planned = planning.plan(self.settings, dag)
        if isinstance(planned, NothingToDo):
            return planned
        built = building.build(self.settings, dag, run)
        held = gating.gate(self.settings, dag, run)
        assert held is None, held
        publishing.publish(self.settings, dag, run)
        return built

    def settle(self, *dags: str) -> list[str]:
        """Analyses whatever its inputs make due until nothing is; returns the DAGs that built something, in order.

        `dags`: only these, given before the DAGs that read from them.
        """
        built: list[str] = []
        while news := [dag for dag in dags or ANALYSES if isinstance(self.analyse(dag), Plan)]:
            built += news
        return built
