"""`adventureworks doctor`: check that everything the platform needs is there and responds."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from typing import Any

import psycopg
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.cli.output import console
from adventureworks.cli.reading import has_warehouse, reading
from adventureworks.cli.run import SAMPLE, choose_source, with_remembered_permission
from adventureworks.embedded.home import Home
from adventureworks.embedded.services import services
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked, as_typed
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.source import ABSENT, Kind, files_address_of, kind_of
from adventureworks.source.files_opening import open_files
from adventureworks.source.recognition import require_tables
from adventureworks.warehouse.state import is_laid_out


def run_checks(settings: Settings) -> int:
    """Run every check, print a line for each, and return 1 if one failed, else 0."""
    out = console()
    checks: dict[str, Callable[[Settings], str]] = {
        "Python": _python,
        "Home": _home,
        "PostgreSQL": _postgres,
        "Airflow": _airflow,
        "Warehouse": _warehouse,
        "Source": _source,
        "Reports": _reports,
        "Messages": _messages,
        "Platform": _platform,
    }
    failed = 0
    for name, check in checks.items():
        try:
            result, passed = check(settings), True
        except PlatformError as error:
            result, passed = str(error), False
        failed += not passed
        out.print(f"{'ok  ' if passed else 'FAIL'}  {name:<11} {result}", style=None if passed else "red", markup=False)
    return 1 if failed else 0


def _python(_: Settings) -> str:
    return f"{sys.version.split()[0]} on {sys.platform}, {os.cpu_count()} processors"


def _home(settings: Settings) -> str:
    home = Home(settings.home)
    home.prepare()
    return f"{home.path}, {shutil.disk_usage(home.path).free / 1e9:,.0f} GB free"


def _postgres(settings: Settings) -> str:
    if settings.warehouse_url is not None and "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in os.environ:
        return "no embedded server is needed: the warehouse and Airflow's database are configured"
    with services(settings) as addresses, psycopg.connect(addresses.metadata_url.get_secret_value()) as connection:
        row = connection.execute("show server_version").fetchone()
    return f"the embedded server {row[0] if row else '?'} starts and responds"


def _airflow(_: Settings) -> str:
    return version("apache-airflow")


def _warehouse(settings: Settings) -> str:
    if settings.warehouse == "snowflake":
        return f"{_snowflake(settings)}; its records: {_postgres_warehouse(settings)}"
    return _postgres_warehouse(settings)


def _snowflake(settings: Settings) -> str:
    """Check that the login works, and that its role holds all grants that the platform needs."""
    from adventureworks.warehouse import snowflake_grants
    from adventureworks.warehouse.snowflake_login import sign_in

    with closing(sign_in(settings, "doctor")) as connection:
        cursor: Any = connection.cursor()
        role, warehouse = cursor.execute("select current_role(), current_warehouse()").fetchone()
        if not warehouse:
            raise PlatformError(
                f"The login of {settings.snowflake_connection} has no warehouse.",
                "Name one in the Airflow connection, or set the user's default: deploy/snowflake/set-up.sql",
            )
        held: set[tuple[str, str, str]] = set()
        roles, visited = [str(role)], set[str]()
        while roles:
            current = roles.pop()
            visited.add(current)
            shown = cursor.execute(f"show grants to role {quoted(current)}").fetchall()
            held |= snowflake_grants.held_by(shown)
            roles += [other for other in snowflake_grants.inherited_roles(shown) if other not in visited]
    missing = snowflake_grants.missing(snowflake_grants.needed(settings, str(warehouse)), held)
    if missing:
        raise PlatformError(
            f"The role {role} lacks {len(missing)} {'grant' if len(missing) == 1 else 'grants'}.",
            "An administrator must run: " + " ".join(grant.statement(str(role)) for grant in missing),
        )
    return f"Snowflake, as {role} with warehouse {warehouse}; the role holds all the grants it needs"


def _postgres_warehouse(settings: Settings) -> str:
    if not has_warehouse(settings):
        return "none yet; the first run creates it"
    try:
        with reading(settings) as session:
            filled = is_laid_out(session.records)
    except ServiceUnavailable as error:
        raise ServiceUnavailable(error.cause, "Check ADVENTUREWORKS_WAREHOUSE_URL.") from None
    where = "embedded" if settings.warehouse_url is None else "configured"
    return f"{where}, {'in use' if filled else 'empty'}"


def _source(settings: Settings) -> str:
    chosen = choose_source(settings, None)
    if chosen == SAMPLE:
        return "the embedded database"
    settings = with_remembered_permission(settings, chosen)
    if kind_of(chosen) is Kind.CONNECTION:
        from adventureworks.orchestration.connections import with_source

        named = with_source(settings.model_copy(update={"source": chosen, "source_url": None}))
        chosen = named.source_url.get_secret_value() if named.source_url else chosen
    kind = kind_of(chosen)
    if kind is Kind.FILES:
        return check_files(settings.model_copy(update={"source": chosen, "source_url": None}))
    if kind is Kind.SQL_SERVER:
        return _sql_server(settings, chosen)
    return _postgresql(settings, SecretStr(chosen))


def check_files(settings: Settings) -> str:
    """Return what the source's files are. Raises `PlatformError` if a table is missing or its file cannot be read."""
    source = open_files(str(files_address_of(settings)), settings.home, batch_rows=1, rest_seconds=0)
    require_tables(source, allow_missing=settings.allow_missing)
    blocked = []
    for table in SOURCE_TABLES.values():
        try:
            source.inspected(table)
        except TableBlocked as error:
            blocked.append(error)
    broken = [error for error in blocked if error.rule not in ABSENT]
    unknown = source.unknown_files()
    unread = f". Files that belong to no table: {', '.join(unknown)}" if unknown else ""
    if broken:
        first = broken[0]
        files = "file" if len(broken) == 1 else "files"
        raise PlatformError(f"{len(broken)} {files} cannot be read. {first.cause}{unread}", first.next_step)
    return f"{source.place.address}: {source.form()}{unread}"


def _postgresql(settings: Settings, url: SecretStr) -> str:
    """Check that the state of every table can be read, as an ingestion does. Raises `PlatformError` if not."""
    from adventureworks.source.postgres import PostgresSource

    source = PostgresSource(url, batch_rows=1)
    require_tables(source, allow_missing=settings.allow_missing)
    states = source.states(SOURCE_TABLES.values())
    blocked = {asset: state for asset, state in states.items() if isinstance(state, TableBlocked)}
    absent = sorted(asset for asset, state in blocked.items() if state.rule in ABSENT)
    broken = [state for asset, state in blocked.items() if asset not in absent]
    if broken:
        first = broken[0]
        raise PlatformError(f"{len(broken)} of {len(states)} tables cannot be read. {first.cause}", first.next_step)
    lacks = f"; it does not offer {', '.join(absent)}" if absent else ""
    return f"a database in which {len(states) - len(absent)} tables can be read{lacks}"


def _sql_server(settings: Settings, url: str) -> str:
    from adventureworks.source.sqlserver import SqlServerSource
    from adventureworks.source.sqlserver_examination import examine as examine_source

    # The statements that it proposes say more than the refusal of `require_tables`, which follows the same rule.
    found = examine_source(SecretStr(url), settings.source_password, allow_missing=settings.allow_missing)
    if found.faults:
        raise PlatformError(found.summary, " ".join(found.faults))
    source = SqlServerSource(SecretStr(url), batch_rows=1, password=settings.source_password)
    require_tables(source, allow_missing=settings.allow_missing)
    return " ".join([found.summary, *found.advice])


def _reports(settings: Settings) -> str:
    from adventureworks.messaging.routes import routes
    from adventureworks.orchestration.storage import report_folder
    from adventureworks.reports.digests import check_names

    known = routes(settings)
    check_names(known.digests)
    folder = report_folder(settings)
    missing = sorted({known.groups[name].language for name in known.monthly_report} - set(settings.report_languages))
    also = f"; readers of {', '.join(missing)} receive them in {settings.report_languages[0]}" if missing else ""
    return f"in {', '.join(settings.report_languages)}, stored in {folder}{also}"


def _messages(settings: Settings) -> str:
    """Check that the mail server responds and accepts the login. Nothing is sent."""
    from adventureworks.messaging.routes import routes
    from adventureworks.orchestration.channels import Email, configured

    known = routes(settings)
    people = {address for group in known.groups.values() for address in group.emails}
    channels = configured(settings)
    if not channels:
        listing = as_typed("adventureworks incident list")
        return f"no connection to Slack or to a mail server; for incidents: {listing}"
    addresses = "address" if len(people) == 1 else "addresses"
    shown = [
        f"mail through {channel.check()} to {len(people)} {addresses}"
        if isinstance(channel, Email)
        else name.capitalize()
        for name, channel in channels.items()
    ]
    return ", ".join(shown)


def _platform(settings: Settings) -> str:
    owner = Home(settings.home).holder("run")
    if owner is None:
        return "not running"
    if "task" in owner:
        return f"not running; {owner['task']} is in progress: process {owner['pid']}"
    return f"running as process {owner['pid']}, UI {owner.get('url', '?')}"
