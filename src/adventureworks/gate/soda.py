"""The adapter for Soda 3.5: only this module imports it, so that another engine could replace it.

There is one scan per table, so that a failure of Soda affects only that table. Importing this module imports Soda
(0.4 s).
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import yaml
from ruamel.yaml import YAML
from soda.common import env_helper
from soda.common.config_helper import ConfigHelper

from adventureworks.errors import ServiceUnavailable, Step
from adventureworks.warehouse.postgres import PostgresWarehouse, is_unavailable

# This must precede every other import of Soda: with a configuration in place it sends no telemetry and writes no
# configuration to the home folder. `Scan.disable_telemetry` comes too late and has no effect.
ConfigHelper._ConfigHelper__config = {"send_anonymous_usage_stats": False, "user_cookie_id": ""}
if ConfigHelper.get_instance().send_anonymous_usage_stats:
    raise RuntimeError("Soda would send telemetry: another configuration was loaded before this module.")
# Otherwise any `.env` file above Soda's own folder would overwrite the environment of this process.
env_helper.load_dotenv = lambda **_: False
# The outcomes report what goes wrong; Soda's own log messages repeat whole queries.
logging.getLogger("soda").setLevel(logging.CRITICAL + 1)

from soda.common import parser  # noqa: E402
from soda.execution.data_source import DataSource  # noqa: E402
from soda.execution.query import query as soda_query  # noqa: E402
from soda.sampler.sample_context import SampleContext  # noqa: E402
from soda.sampler.sample_ref import SampleRef  # noqa: E402
from soda.sampler.sampler import Sampler  # noqa: E402
from soda.scan import Scan  # noqa: E402
from soda.sodacl import sodacl_parser  # noqa: E402

# Before it samples rows, Soda parses the query for columns excluded from sampling. No columns are excluded here, and
# parsing a long query takes longer than running it.
soda_query.parse_columns_from_query = lambda _: []
# For every check, Soda inspects the same constructor once per possible argument.
sodacl_parser.inspect = SimpleNamespace(signature=cache(inspect.signature))
# Soda's YAML loader is pure Python and records the line of every node, which no message shows. The safe loader uses
# ruamel's C parser if it is installed (Python before 3.13). Every location is then the file.
parser.YAML = partial(YAML, typ="safe")
parser.PathStack.create_location = lambda stack, _: stack.path_elements[0].location

if TYPE_CHECKING:
    from adventureworks.warehouse import Warehouse

_DATA_SOURCE = "warehouse"
_QUOTED = re.compile(r'"[^"]+"')
_SAMPLED_ROWS = 6  # enough for three duplicate keys


class _Scan(Scan):
    """A scan without its report, which is not used and takes as long as the checks of a small table."""

    def build_scan_results(self) -> dict[str, Any]:
        """Return an empty report."""
        return {}


@dataclass(frozen=True)
class Measured:
    """What Soda measured for one check."""

    outcome: str | None
    """`pass`, `warn`, `fail`, or None if the check was not evaluated."""
    value: float | None
    error: str = ""
    rows: tuple[dict[str, Any], ...] = ()
    """Some of the rows that failed."""


@dataclass(frozen=True)
class TableScan:
    """The results of all checks of one file."""

    checks: dict[str, Measured]
    """By rule, without rules that Soda could not read."""
    failure: str
    """The error in Soda; empty if there was none."""
    newest: Any = None
    """The newest value of the requested column, if a check failed."""


@dataclass
class _RowSampler(Sampler):
    """A sampler that keeps some failing rows of each check in memory; Soda's own samplers would log or send them."""

    rows: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)

    def store_sample(self, sample_context: SampleContext) -> SampleRef:
        """Keep the first rows, and return their number to Soda."""
        sample = sample_context.sample
        names = [column[0] for column in sample.cursor.description]
        rows = sample.get_rows()[:_SAMPLED_ROWS]
        self.rows[sample_context.check_name] = tuple(dict(zip(names, row, strict=True)) for row in rows)
        count = sample.get_rows_count()
        return SampleRef(sample_context.sample_name, None, count, len(rows), SampleRef.TYPE_NOT_PERSISTED)


@dataclass(frozen=True)
class CheckedSchema:
    """A schema of the warehouse, with the connection that Soda uses for it."""

    schema: str
    properties: Mapping[str, Any]
    """The properties of the data source that Soda receives."""
    connection: Any
    """An open connection for all scans, so that Soda needs no credentials."""
    rewritten: Callable[[str], str] = str
    """Translation of a SELECT to the engine's SQL dialect, if the connection does not translate it."""
    in_upper_case: bool = False
    """Whether the engine stores names in upper case."""


@contextmanager
def checked_schema(warehouse: Warehouse, schema: str, *, nested_loops: bool = True) -> Iterator[CheckedSchema]:
    """Open a schema of the warehouse for all scans of one gate.

    `nested_loops`: whether PostgreSQL may join by them where it could do otherwise (see `PostgresWarehouse.signed_in`).
    """
    if isinstance(warehouse, PostgresWarehouse):
        with warehouse.signed_in(schema, "check", nested_loops=nested_loops) as connected:
            yield CheckedSchema(schema, {"type": "postgres", "schema": schema}, connected)
        return
    with warehouse.signed_in(schema, "check") as connection:
        properties = {"type": "snowflake", "database": connection.database, "schema": connection.schema}
        yield CheckedSchema(schema, properties, connection, warehouse.rewritten, in_upper_case=True)


def scan_table(source: CheckedSchema, text: str, newest_of: str = "") -> TableScan:
    """Run the checks of one table, given as SodaCL without variables, in a schema of the warehouse.

    `newest_of` is a SELECT of one value that is run if a check fails. Raises ServiceUnavailable if the database does
    not answer, or ends a query for a reason unrelated to it, such as a deadlock or a full disk.
    """
    scan, sampler = _Scan(), _RowSampler()
    scan.sampler = sampler
    scan.set_data_source_name(_DATA_SOURCE)
    # Not passed as YAML, because Soda would put a password through its templates and into its error messages.
    scan._configuration.data_source_properties_by_name[_DATA_SOURCE] = dict(source.properties)
    scan._configuration.samples_limit = _SAMPLED_ROWS
    if source.in_upper_case:
        text = in_upper_case(text, source.rewritten)
    scan.add_sodacl_yaml_str(text)
    data_source = DataSource.create(scan._logs, _DATA_SOURCE, source.properties["type"], dict(source.properties))
    data_source.connection = source.connection
    scan._data_source_manager.data_sources[_DATA_SOURCE] = data_source
    exit_code = scan.execute()
    unavailable = [query.exception for query in scan._queries if query.exception and is_unavailable(query.exception)]
    if unavailable or _is_closed(source.connection):
        raise _no_answer(_first_line(unavailable[0]) if unavailable else _first_error(scan))
    checks = _measured(scan, sampler)
    failed = any(check.outcome == "fail" for check in checks.values())
    newest = _value(source.connection, source.rewritten(newest_of)) if failed and newest_of else None
    return TableScan(checks, _first_error(scan) if exit_code == 3 else "", newest)


def parse(text: str) -> None:
    """Have Soda parse SodaCL, for the processes that are forked from this one.

    Its parser remembers what it learns about the grammar, and needs several times as long for the first checks.
    """
    _Scan().add_sodacl_yaml_str(text)


def in_upper_case(checks: str, rewritten: Callable[[str], str]) -> str:
    """Return a check file for an engine that stores names in upper case, with its SELECTs in that engine's dialect."""
    ((header, items),) = yaml.load(checks, yaml.CSafeLoader).items()
    return yaml.dump(
        {
            _upper(header): [
                {_upper(line): _settings(given, rewritten)} for item in items for line, given in item.items()
            ]
        },
        Dumper=yaml.CSafeDumper,
        sort_keys=False,
        allow_unicode=True,
    )


def _settings(given: Mapping[str, Any], rewritten: Callable[[str], str]) -> dict[str, Any]:
    settings = dict(given)
    if "fail query" in settings:
        settings["fail query"] = rewritten(settings["fail query"])
    if "stale expression" in settings:
        settings["stale expression"] = rewritten(f"select {settings['stale expression']}")[len("select ") :]
    return settings


def _upper(line: str) -> str:
    return _QUOTED.sub(lambda match: match[0].upper(), line)


def _no_answer(reason: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"The warehouse does not answer: {reason}.", Step("Check it:", "adventureworks status"))


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
