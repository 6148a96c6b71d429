"""The whole pipeline as plain calls on real databases: the work of Airflow's tasks, without Airflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

import psycopg

from adventureworks import pipeline
from adventureworks.catalog import ANALYSES
from adventureworks.due import NothingToDo, Plan
from adventureworks.settings import Settings
from adventureworks.warehouse import open_warehouse
from adventureworks.warehouse.session import Session
from tests.conftest import WORKER

_numbers = count(1)


def _run_of(dag: str) -> str:
    """Return a unique run id, even if the template of this database was filled by another worker."""
    return f"{dag}/{WORKER}_{next(_numbers)}"


class Ingested(pipeline.Ingested):
    """What an ingestion did, with its incidents by asset."""

    @property
    def opened(self) -> dict[str, str]:
        """The rule by asset of the incidents that were opened."""
        return {incident.asset: incident.rule for incident in self.conclusion.opened}

    @property
    def resolved(self) -> dict[str, str]:
        """The rule by asset of the incidents that were resolved."""
        return {incident.asset: incident.rule for incident in self.conclusion.resolved}


class Pipeline:
    """A source, a warehouse, and the steps between them."""

    def __init__(self, settings: Settings, source_url: str = "") -> None:
        self.settings = settings
        self._source_url = source_url

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Change the source; return the number of changed rows."""
        with psycopg.connect(self._source_url) as connection:
            return connection.execute(statement, parameters or None).rowcount

    def at_source(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return rows of the source."""
        with psycopg.connect(self._source_url) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def published(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return rows of the warehouse."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def session(self) -> AbstractContextManager[Session]:
        """Open a session with the warehouse."""
        return open_warehouse(self.settings).connect("test")

    @property
    def url(self) -> str:
        """The warehouse's URL."""
        assert self.settings.warehouse_url is not None
        return self.settings.warehouse_url.get_secret_value()

    def ingest(
        self,
        *,
        everything: bool = False,
        accept: Sequence[str] = (),
        before_load: Callable[[Sequence[str]], None] = lambda group: None,
    ) -> Ingested:
        """Detect, load, check, publish, and record incidents."""
        run_id = _run_of("ingest_source")
        done = pipeline.ingest(self.settings, run_id, everything=everything, accept=accept, before_load=before_load)
        return Ingested(done.loaded, done.published, done.conclusion)

    def analyse(self, dag: str = "daily_sales_etl") -> Plan | NothingToDo:
        """Build, gate, publish; return what was computed, or why nothing was."""
        done = pipeline.analyse(self.settings, dag, _run_of(dag))
        if isinstance(done, NothingToDo):
            return done
        assert done.plan is not None
        return done.plan

    def settle(self, *dags: str) -> list[str]:
        """Run analyses until none is due; return the DAGs that computed something, in order. None may be refused.

        `dags`: only these, given before the DAGs that read from them.
        """
        done = list(pipeline.analyse_until_settled(self.settings, _run_of, dags or ANALYSES))
        assert [outcome for _, outcome in done if not isinstance(outcome, Plan)] == []
        return [dag for dag, _ in done]
