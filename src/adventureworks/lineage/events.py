"""OpenLineage events: one run for every published or refused version of a table or mart.

A job is `<dag>.<asset>`, and the id of its run is derived from the DAG run, so all tasks of a DAG run refer to the same
run without exchanging it. A run carries the results of the checks; its output carries the schema, the version and the
lineage of each column. Events contain names of columns and tables, but no values.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, SourceTable, entry
from adventureworks.columns import columns_of, key_of
from adventureworks.dictionary import definitions, grain
from adventureworks.incidents.privacy import plain_line
from adventureworks.lineage import datasets, origins
from adventureworks.settings import Settings
from adventureworks.texts import language
from adventureworks.warehouse import publication

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent
    from openlineage.client.facet_v2 import (
        DatasetFacet,
        RunFacet,
        column_lineage_dataset,
        parent_run,
        schema_dataset,
        test_run,
    )

    from adventureworks.warehouse.postgres import Connection

PRODUCER = "urn:adventureworks:dataops"


class Reporter:
    """Builds the events of one DAG run."""

    def __init__(
        self, settings: Settings, namespace: str, run_id: str, parent: parent_run.ParentRunFacet | None = None
    ) -> None:
        """`run_id` is `<dag>/<run>`; `parent` is that run as the provider reports it, with a new id after a clear."""
        self.namespace = namespace
        self.run_id = run_id
        self.parent = parent
        self._environment = settings.environment
        self._names = datasets.Names(settings)

    def started(self, marts: Iterable[str], at: datetime) -> list[RunEvent]:
        """Return events for marts that are being built."""
        return [self._event("START", MARTS[name], at) for name in marts]

    def published(self, records: Connection, at: datetime) -> list[RunEvent]:
        """Return events for the marts that the run published or found unchanged."""
        results = self._results(records)
        events = []
        for version in (
            *publication.of_run(records, self.run_id),
            *publication.confirmed_by(records, self.run_id),
        ):
            mart = MARTS[version.asset]
            known = {**publication.newest_versions(records, mart.inputs), **version.inputs}
            outcome = _Outcome(version.version, version.rows, known, results[mart.name])
            events.append(self._event("COMPLETE", mart, at, outcome))
        return events

    def failed(self, records: Connection, marts: Iterable[str], at: datetime, cause: str) -> list[RunEvent]:
        """Return events for marts that were not published, with their broken rules, or else the common cause."""
        results = self._results(records)
        events = []
        for name in marts:
            broken = [f"{one.rule}: {one.message}" for one in results[name] if one.broken]
            outcome = _Outcome(results=results[name], error=plain_line("; ".join(broken) or cause))
            events.append(self._event("FAIL", MARTS[name], at, outcome))
        return events

    def abandoned(self, marts: Iterable[str], at: datetime) -> list[RunEvent]:
        """Return events for marts that another run will compute again, from newer inputs."""
        return [self._event("ABORT", MARTS[name], at) for name in marts]

    def ingested(self, records: Connection, at: datetime) -> list[RunEvent]:
        """Return events for the source tables that the run published or refused, but none for unchanged ones."""
        results = self._results(records)
        versions = {version.asset: version for version in publication.of_run(records, self.run_id)}
        rows = records.execute(
            "select asset, status, blocked_rule, blocked_cause, detected_at from ops.change"
            " where run_id = %s and status in ('published', 'blocked') order by asset",
            (self.run_id,),
        ).fetchall()
        events = []
        for asset, status, rule, cause, since in rows:
            table = SOURCE_TABLES[asset]
            if status == "blocked":
                end, outcome = "FAIL", _Outcome(results=results[asset], error=plain_line(f"{rule}: {cause}"))
            else:
                version = versions[asset]
                end, outcome = "COMPLETE", _Outcome(version.version, version.rows, results=results[asset])
            events += [self._event("START", table, since), self._event(end, table, at, outcome)]
        return events

    def interrupted(self, records: Connection, at: datetime, cause: str) -> list[RunEvent]:
        """Return events for the source tables that the run was about to publish when it failed."""
        rows = records.execute(
            "select asset, detected_at from ops.change where run_id = %s and status in ('detected', 'staged')"
            " order by asset",
            (self.run_id,),
        ).fetchall()
        outcome = _Outcome(error=plain_line(cause))
        return [
            event
            for asset, since in rows
            for event in (
                self._event("START", SOURCE_TABLES[asset], since),
                self._event("FAIL", SOURCE_TABLES[asset], at, outcome),
            )
        ]

    def _event(self, state: str, asset: SourceTable | Mart, at: datetime, outcome: _Outcome | None = None) -> RunEvent:
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import documentation_job, error_message_run, job_type_job

        outcome = outcome or _Outcome()
        facets: dict[str, RunFacet] = {}
        if self.parent is not None:
            facets["parent"] = self.parent
        if outcome.results:
            facets["test"] = _tests(outcome.results)
        if outcome.error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(outcome.error, "PYTHON")
        dag = self.run_id.partition("/")[0]
        job = Job(
            self.namespace,
            f"{dag}.{asset.asset}",
            {
                "jobType": job_type_job.JobTypeJobFacet("BATCH", "ADVENTUREWORKS", "MODEL"),
                "documentation": documentation_job.DocumentationJobFacet(grain(asset, language("en"))),
            },
        )
        event = RunEvent(
            eventTime=at.isoformat(),
            producer=PRODUCER,
            run=Run(self._id_of(asset), facets),
            job=job,
            eventType=RunState[state],
            inputs=self._inputs(asset, outcome.inputs),
            outputs=[self._output(asset, outcome)],
        )
        _set_producer(event)
        return event

    def _id_of(self, asset: SourceTable | Mart) -> str:
        """Return the id of the asset's run, unique across deployments, environments and repetitions of the DAG run."""
        scope = (self.namespace, self._environment, self.parent.run.runId if self.parent else "", self.run_id)
        return str(uuid.uuid5(uuid.NAMESPACE_URL, ":".join((PRODUCER, *scope, asset.asset))))

    def _inputs(self, asset: SourceTable | Mart, versions: Mapping[str, int]) -> list[InputDataset]:
        from openlineage.client.event_v2 import InputDataset
        from openlineage.client.facet_v2 import dataset_version_dataset

        if isinstance(asset, SourceTable):
            where = self._names.in_source(asset)
            return [InputDataset(where.namespace, where.name, facets={"schema": _schema(asset)})]
        found = []
        for name in asset.inputs:
            where = self._names.in_warehouse(entry(name))
            facets: dict[str, DatasetFacet] = {"schema": _schema(entry(name), self._names.column)}
            if name in versions:
                facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(versions[name]))
            found.append(InputDataset(where.namespace, where.name, facets=facets))
        return found

    def _output(self, asset: SourceTable | Mart, outcome: _Outcome) -> OutputDataset:
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import (
            dataset_version_dataset,
            documentation_dataset,
            output_statistics_output_dataset,
        )

        facets: dict[str, Any] = {
            "schema": _schema(asset, self._names.column),
            "documentation": documentation_dataset.DocumentationDatasetFacet(grain(asset, language("en"))),
            "columnLineage": self._column_lineage(asset),
        }
        if outcome.version is not None:
            facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(outcome.version))
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=outcome.rows)
        where = self._names.in_warehouse(asset)
        return OutputDataset(
            where.namespace,
            where.name,
            facets=facets,
            outputFacets={} if outcome.rows is None else {"outputStatistics": statistics},
        )

    def _column_lineage(self, asset: SourceTable | Mart) -> column_lineage_dataset.ColumnLineageDatasetFacet:
        from openlineage.client.facet_v2 import column_lineage_dataset as facet

        fields = _of_table(self._names, asset) if isinstance(asset, SourceTable) else _of_mart(self._names, asset)
        return facet.ColumnLineageDatasetFacet(
            {self._names.column(name): facet.Fields(inputFields=origin) for name, origin in fields.items()},
            dataset=None,
        )

    def _results(self, records: Connection) -> Mapping[str, list[_Result]]:
        rows = records.execute(
            "select asset, rule, outcome, message from ops.check_result where run_id = %s"
            " and outcome <> 'skipped' order by asset, rule",
            (self.run_id,),
        ).fetchall()
        results: dict[str, list[_Result]] = defaultdict(list)
        for asset, rule, outcome, message in rows:
            results[asset].append(_Result(rule, outcome, message))
        return results


@dataclass(frozen=True)
class _Result:
    """The result of a check."""

    rule: str
    outcome: str
    message: str

    @property
    def broken(self) -> bool:
        return self.outcome in {"fail", "error"}


@dataclass(frozen=True)
class _Outcome:
    """The known outcome of a run."""

    version: int | None = None
    rows: int | None = None
    inputs: Mapping[str, int] = field(default_factory=dict)
    results: list[_Result] = field(default_factory=list)
    error: str = ""


def _of_mart(names: datasets.Names, mart: Mart) -> dict[str, list[column_lineage_dataset.InputField]]:
    """Return, for each column, the columns of tables and marts that the model reads for it."""
    from openlineage.client.facet_v2 import column_lineage_dataset as facet

    taken = facet.Transformation("DIRECT", "TRANSFORMATION" if origins.by_column(mart.name) else None)
    counted = facet.Transformation("INDIRECT", description="Depends on which rows exist, not on the value of a column.")
    fields = {}
    for column in origins.columns(mart.name):
        # The previous version of the mart itself is not an origin.
        made_of = [origin for origin in column.made_of if origin[0] != mart.name]
        keys = [(name, key) for name in mart.inputs for key in key_of(entry(name))]
        indirect = column.counted if made_of else keys
        fields[column.name] = [
            facet.InputField(
                where.namespace, where.name, names.column(origin), [counted if (asset, origin) in indirect else taken]
            )
            for asset, origin in made_of or keys
            for where in [names.in_warehouse(entry(asset))]
        ]
    return fields


def _of_table(names: datasets.Names, table: SourceTable) -> dict[str, list[column_lineage_dataset.InputField]]:
    """Return, for each column, the same column at the source, or the XML column that it is extracted from."""
    from openlineage.client.facet_v2 import column_lineage_dataset as facet

    where = names.in_source(table)
    fields = {}
    for column in columns_of(table):
        origin = column.derivation.column if column.derivation else column.name
        how = facet.Transformation(
            "DIRECT",
            "IDENTITY" if origin == column.name and origin not in table.protected else "TRANSFORMATION",
            masking=column.name in table.protected,
        )
        fields[column.name] = [facet.InputField(where.namespace, where.name, origin, [how])]
    return fields


def _schema(asset: SourceTable | Mart, rename: Callable[[str], str] = str) -> schema_dataset.SchemaDatasetFacet:
    from openlineage.client.facet_v2 import schema_dataset as facet

    meanings = {name: found.meaning for name, found in definitions(asset, language("en")).items()}
    return facet.SchemaDatasetFacet(
        [
            facet.SchemaDatasetFacetFields(
                rename(column.name), str(column.dtype), meanings.get(column.name), ordinal_position=position
            )
            for position, column in enumerate(columns_of(asset), start=1)
        ]
    )


def _tests(results: Iterable[_Result]) -> test_run.TestRunFacet:
    """Return the checks made before publication; a warning is a failed test that does not stop the publication."""
    from openlineage.client.facet_v2 import test_run as facet

    return facet.TestRunFacet(
        [
            facet.TestExecution(
                one.rule,
                "pass" if one.outcome == "pass" else "fail",
                severity="warn" if one.outcome == "warn" else "error",
                description=plain_line(one.message) or None,
            )
            for one in results
        ]
    )


def _set_producer(event: RunEvent) -> None:
    """Set the producer of all our facets; otherwise the client names itself or whichever code used it last."""
    of_datasets = [dataset.facets for dataset in (*(event.inputs or ()), *(event.outputs or ()))]
    of_outputs = [dataset.outputFacets for dataset in event.outputs or ()]
    for facets in (event.run.facets, event.job.facets, *of_datasets, *of_outputs):
        for name, facet in (facets or {}).items():
            if name != "parent":
                facet._producer = PRODUCER
