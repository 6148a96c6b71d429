"""Soda 3.5, held at arm's length: the one module that imports it, so that another engine could take its place.

One scan per table, so that a failure of Soda touches that table only. Importing this module imports Soda (0.4 s).
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg2
import yaml
from ruamel.yaml import YAML
from soda.common import env_helper
from soda.common.config_helper import ConfigHelper

from adventureworks.errors import ServiceUnavailable
from adventureworks.warehouse.environments import in_environment, schema_of
from adventureworks.warehouse.postgres import PostgresWarehouse

# Before anything else of Soda is imported: with a configuration in place it sends no telemetry and writes none to the
# home folder. `Scan.disable_telemetry` comes too late and changes nothing.
ConfigHelper._ConfigHelper__config = {"send_anonymous_usage_stats": False, "user_cookie_id": ""}
if ConfigHelper.get_instance().send_anonymous_usage_stats:
    raise RuntimeError("Soda would send telemetry: another configuration of it was loaded before.")
# Soda would let any `.env` file above its own folder overwrite this process's environment.
env_helper.load_dotenv = lambda **_: False
# What goes wrong is told by the outcomes; Soda's own words repeat whole queries.
logging.getLogger("soda").setLevel(logging.CRITICAL + 1)

from soda.common import parser  # noqa: E402
from soda.execution.data_source import DataSource  # noqa: E402
from soda.execution.query import query as soda_query  # noqa: E402
from soda.sampler.sample_context import SampleContext  # noqa: E402
from soda.sampler.sample_ref import SampleRef  # noqa: E402
from soda.sampler.sampler import Sampler  # noqa: E402
from soda.scan import Scan  # noqa: E402
from soda.sodacl import sodacl_parser  # noqa: E402

# Before it samples rows, Soda parses the query for columns that may not be sampled. None is named here, and for a long
# query the parsing takes longer than the query.
soda_query.parse_columns_from_query = lambda _: []
# For every check, Soda inspects a constructor of its own once for each argument that it could take.
sodacl_parser.inspect = SimpleNamespace(signature=cache(inspect.signature))
# Its loader is written in Python and notes the line of everything, which no message shows. The safe loader uses the C
# parser of ruamel where that is installed (Python before 3.13). Every location is the file.
parser.YAML = partial(YAML, typ="safe")
parser.PathStack.create_location = lambda stack, _: stack.path_elements[0].location

if TYPE_CHECKING:
    from adventureworks.warehouse import Warehouse

_DATA_SOURCE = "warehouse"
_QUOTED = re.compile(r'"[^"]+"')
_SAMPLED_ROWS = 6  # enough for three keys that come twice


class _Scan(Scan):
    """A scan without its report, which takes as long as a small table's checks and which nobody reads."""

    def build_scan_results(self) -> dict[str, Any]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class Measured:
    """What Soda found out about one check."""

    outcome: str | None
    """`pass`, `warn`, `fail`, or None: it was not evaluated."""
    value: float | None
    error: str = ""
    rows: tuple[dict[str, Any], ...] = ()
    """Some of the rows that failed."""


@dataclass(frozen=True)
class TableScan:
    """All checks of one file."""

    checks: dict[str, Measured]
    """By rule; a rule that Soda could not read is missing."""
    failure: str
    """What went wrong in Soda; empty if nothing did."""
    newest: Any = None
    """The newest value of the column asked for, where a check failed."""


@dataclass
class _RowSampler(Sampler):
    """Keeps some failing rows of each check in memory; Soda's own samplers would log or send them."""

    rows: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)

    def store_sample(self, sample_context: SampleContext) -> SampleRef:
        """Takes the first rows, and tells Soda how many there are."""
        sample = sample_context.sample
        names = [column[0] for column in sample.cursor.description]
        rows = sample.get_rows()[:_SAMPLED_ROWS]
        self.rows[sample_context.check_name] = tuple(dict(zip(names, row, strict=True)) for row in rows)
        count = sample.get_rows_count()
        return SampleRef(sample_context.sample_name, None, count, len(rows), SampleRef.TYPE_NOT_PERSISTED)


@dataclass(frozen=True)
class CheckedSchema:
    """A schema of the warehouse, as Soda is to reach it."""

    schema: str
    properties: Mapping[str, Any]
    """What Soda is told of it."""
    connection: Any
    """Where we are signed in, for all scans; Soda need not know how."""
    rewritten: Callable[[str], str] = str
    """A SELECT in the words of the warehouse's engine, for the schemas of the environment."""
    in_upper_case: bool = False
    """Whether the engine keeps names in upper case."""


@contextmanager
def checked_schema(warehouse: Warehouse, schema: str) -> Iterator[CheckedSchema]:
    """A schema of the warehouse, for all scans of one gate."""
    if isinstance(warehouse, PostgresWarehouse):
        here = warehouse.environment
        real = schema_of(here, schema)
        properties = {"type": "postgres", "schema": real}
        try:
            connected = psycopg2.connect(warehouse.address("check", real))
        except psycopg2.OperationalError as error:
            raise _no_answer(_first_line(error)) from None
        with closing(connected):
            # A statement that fails must not spoil those of the next scan.
            connected.autocommit = True
            yield CheckedSchema(
                schema, properties, connected, partial(in_environment, environment=here) if here else str
            )
        return
    with warehouse.signed_in(schema, "check") as connection:
        where = {"type": "snowflake", "database": connection.database, "schema": connection.schema}
        yield CheckedSchema(schema, where, connection, warehouse.rewritten, in_upper_case=True)


def scan_table(source: CheckedSchema, text: str, variables: Mapping[str, str], newest_of: str = "") -> TableScan:
    """Runs the checks of one table, given as SodaCL, in a schema of the warehouse.

    `newest_of` is a SELECT of one value that is asked for if a check fails. Raises ServiceUnavailable where the
    database does not answer.
    """
    scan, sampler = _Scan(), _RowSampler()
    scan.sampler = sampler
    scan.set_data_source_name(_DATA_SOURCE)
    # Not as YAML: there a password would pass through Soda's templates and error messages.
    scan._configuration.data_source_properties_by_name[_DATA_SOURCE] = dict(source.properties)
    scan._configuration.samples_limit = _SAMPLED_ROWS
    scan.add_variables(dict(variables))
    if source.in_upper_case:
        text = in_upper_case(text, source.rewritten)
    elif source.rewritten is not str:
        text = with_selects(text, source.rewritten)
    scan.add_sodacl_yaml_str(text)
    known = DataSource.create(scan._logs, _DATA_SOURCE, source.properties["type"], dict(source.properties))
    known.connection = source.connection
    scan._data_source_manager.data_sources[_DATA_SOURCE] = known
    exit_code = scan.execute()
    if _is_closed(source.connection):
        raise _no_answer(_first_error(scan))
    checks = _measured(scan, sampler)
    failed = any(check.outcome == "fail" for check in checks.values())
    newest = _value(source.connection, source.rewritten(newest_of)) if failed and newest_of else None
    return TableScan(checks, _first_error(scan) if exit_code == 3 else "", newest)


def in_upper_case(checks: str, rewritten: Callable[[str], str]) -> str:
    """A check file for an engine that keeps names in upper case, with its SELECTs in that engine's words."""
    return with_selects(checks, rewritten, _upper)


def with_selects(checks: str, rewritten: Callable[[str], str], named: Callable[[str], str] = str) -> str:
    """A check file with its SELECTs in other words, and with other names of tables and columns."""
    ((header, items),) = yaml.safe_load(checks).items()
    return yaml.safe_dump(
        {named(header): [{named(line): _settings(said, rewritten)} for item in items for line, said in item.items()]},
        sort_keys=False,
        allow_unicode=True,
    )


def _settings(said: Mapping[str, Any], rewritten: Callable[[str], str]) -> dict[str, Any]:
    of_check = dict(said)
    if "fail query" in of_check:
        of_check["fail query"] = rewritten(of_check["fail query"])
    if "stale expression" in of_check:
        of_check["stale expression"] = rewritten(f"select {of_check['stale expression']}")[len("select ") :]
    return of_check


def _upper(line: str) -> str:
    return _QUOTED.sub(lambda match: match[0].upper(), line)


def _no_answer(reason: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"The warehouse does not answer: {reason}.", "Check it: adventureworks status")


def _is_closed(connection: Any) -> bool:
    return bool(connection.is_closed() if hasattr(connection, "is_closed") else connection.closed)


def _measured(scan: Scan, sampler: _RowSampler) -> dict[str, Measured]:
    broken = {id(metric): query.exception for query in scan._queries if query.exception for metric in _metrics(query)}
    found = {}
    for check in scan._checks:
        errors = [broken[id(metric)] for metric in check.metrics.values() if id(metric) in broken]
        found[check.name] = Measured(
            outcome=check.outcome.value if check.outcome else None,
            value=getattr(check, "check_value", None),
            error=_first_line(errors[0]) if errors else "",
            rows=sampler.rows.get(check.name, ()),
        )
    return found


def _metrics(query: Any) -> list[Any]:
    return [*getattr(query, "metrics", []), *([query.metric] if hasattr(query, "metric") else [])]


def _first_error(scan: Scan) -> str:
    errors = scan.get_error_logs()
    return _first_line(errors[0].exception or errors[0].message) if errors else "no reason was given"


def _first_line(error: object) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")


def _value(connection: Any, query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]
