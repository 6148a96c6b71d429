"""The command line. Each command is implemented in a module of this package, which is imported only when it runs."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from adventureworks.errors import PlatformError, Step
from adventureworks.garbage import collect_rarely

if TYPE_CHECKING:
    from adventureworks.settings import Settings

app = typer.Typer(
    name="adventureworks",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"adventureworks {version('adventureworks')}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Run, query and monitor the AdventureWorks data platform."""


source_app = typer.Typer(no_args_is_help=True, help="Fill or change the embedded source database.")
quarantine_app = typer.Typer(
    no_args_is_help=True, help="List, show, export, replay and discard the rows that were set aside, and undo it."
)
incident_app = typer.Typer(no_args_is_help=True, help="List, acknowledge and resolve incidents.")
app.add_typer(source_app, name="source")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(incident_app, name="incident")
environment_app = typer.Typer(
    no_args_is_help=True, help="Build, list and drop environments: all tables and marts in separate schemas."
)
app.add_typer(environment_app, name="environment")
contract_app = typer.Typer(no_args_is_help=True, help="Compare and export the contracts of tables and marts.")
app.add_typer(contract_app, name="contract")
new_app = typer.Typer(no_args_is_help=True, help="Add something to a working copy of the repository.")
app.add_typer(new_app, name="new")

USER_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR})
"""Errors of the file system that a user can fix. They are printed as one line, without a traceback."""


@app.command("run")
def run_command(
    source: Annotated[
        str | None,
        typer.Option(
            help="sample, a folder or an archive of files, the URL of an object store, a download or a database, or"
            " airflow: and the id of a connection."
            " Default: the configured source, else the one used last, else sample."
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Stop once every mart is fresh, or no retry is due within three minutes."),
    ] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the Airflow UI.")] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Accept a source without some tables that marts need.")
    ] = False,
) -> None:
    """Start everything, ingest the source, and keep every mart fresh until you press Ctrl-C.

    Example: adventureworks run --source exports/adventureworks
    """
    from adventureworks.cli.run import run as start

    raise typer.Exit(start(configuration(), source, once, port, allow_missing))


@app.command("tour", context_settings={"allow_interspersed_args": False})
def tour_command(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="Run this command on the data of the tour instead, with its options: status --all"),
    ] = None,
    step: Annotated[int | None, typer.Option("--step", min=1, help="Play only this step.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not wait for Enter between the steps.")] = False,
) -> None:
    """Show on sample data how the platform reacts to changes and faults.

    A change reaches every figure, a bad row is repaired, a blocked table is released, and a month is corrected.
    The tour has a home of its own: your settings, source and connections are not used.

    Example: adventureworks tour --step 2
    """
    from adventureworks.cli.tour import run_command, tour

    if command:
        if step is not None or yes:
            raise PlatformError(
                "--step and --yes are options of the tour, not of a command on its data.",
                Step("Give a command's own options after it:", "adventureworks tour status --all"),
            )
        if command[0] == "tour":
            raise PlatformError(
                "A tour cannot be started on the data of the tour.", Step("Start it:", "adventureworks tour")
            )
        run_command(configuration(), command)
    tour(configuration(), step, yes)


@app.command("sql")
def sql_command(
    query: Annotated[str, typer.Argument(help="One SQL statement, or - to read it from standard input.")],
    format: Annotated[Literal["table", "csv", "json"], typer.Option(help="Output format.")] = "table",
) -> None:
    """Run a read-only query on the warehouse, whether or not the platform is running.

    Example: adventureworks sql "select * from marts.monthly_profit limit 5"
    """
    from adventureworks.cli.sql import query as run_query

    run_query(configuration(), sys.stdin.read() if query == "-" else query, format)


@app.command("status")
def status_command(
    asset: Annotated[str | None, typer.Argument(help="A table or mart. Default: a summary.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="List every table and mart.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is fresh, what needs attention and why, and which incidents are open.

    Example: adventureworks status territory_sales
    """
    from adventureworks.cli.status import show

    show(configuration(), asset, everything, as_json)


@app.command("plan")
def plan_command(
    environment: Annotated[str, typer.Option("--environment", help="Environment; default: the configured one.")] = "",
    against: Annotated[
        str, typer.Option("--against", help="Git revision to compare this code with, instead of what is published.")
    ] = "",
    diff: Annotated[
        bool, typer.Option("--diff", help="Compute it in a temporary environment, and compare rows and figures.")
    ] = False,
    output: Annotated[Literal["text", "markdown", "json"], typer.Option("--format", help="Output format.")] = "text",
) -> None:
    """Show what this code would compute, why, for which months, and who reads it. Nothing is published.

    Example: adventureworks plan --against main
    """
    from adventureworks.cli.plan import plan

    plan(configuration(), environment, against, diff, output)


@app.command("backfill")
def backfill_command(
    mart: Annotated[str, typer.Argument(help="A mart, for example fact_sales.")],
    first: Annotated[str, typer.Option("--from", help="First month, for example 2014-01.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last month, for example 2014-03.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show marts, months and the time that the last runs took.")
    ] = False,
) -> None:
    """Compute months of a mart again, and then the marts that read it, whether or not the platform is running.

    Months whose rows stay the same are not published again. A mart that is always computed whole takes no months.

    Example: adventureworks backfill fact_sales --from 2014-01 --to 2014-03
    """
    from adventureworks.cli.backfill import backfill

    raise typer.Exit(backfill(configuration(), mart, first, last, dry_run))


Asset = Annotated[str, typer.Argument(help="A table or mart, for example fact_sales.")]
By = Annotated[str | None, typer.Option("--by", help="Your name, for the record. Default: your login name.")]


@app.command("rollback")
def rollback_command(
    asset: Asset,
    to: Annotated[int | None, typer.Option("--to", min=1, help="The version to restore.")] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, for the owner and for the record. Required with --to.")
    ] = "",
    by: By = None,
    release: Annotated[bool, typer.Option("--release", help="End the rollback: publish what is due.")] = False,
) -> None:
    """Restore an earlier version of a table or mart at once, until the rollback is released.

    What is published together is rolled back together, and the marts that read it are computed from that version.

    Example: adventureworks rollback fact_sales --to 7 --reason "wrong prices on 3 March"
    """
    from adventureworks.cli import rollback

    if release == (to is not None):
        raise PlatformError("Give either --to VERSION or --release.", Step("See:", "adventureworks rollback --help"))
    if to is not None:
        rollback.rollback(configuration(), asset, to, reason, by)
    else:
        rollback.release(configuration(), asset, reason, by)


@app.command("approve")
def approve_command(
    asset: Annotated[str, typer.Argument(help="A blocked table or a refused mart.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it may be published, for the record.")],
    by: By = None,
) -> None:
    """Publish a blocked table or a refused mart once, despite its failed checks.

    Example: adventureworks approve Sales_SalesOrderHeader --reason "2011 was archived on purpose"
    """
    from adventureworks.cli.approve import approve

    approve(configuration(), asset, reason, by)


@app.command("forget")
def forget_command(
    person: Annotated[int, typer.Argument(min=1, help="The person's BusinessEntityID.")],
    reason: Annotated[
        str, typer.Option("--reason", help="Why, for the record; without personal data. Required unless --dry-run.")
    ] = "",
    by: By = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Erase what identifies a person, and never read it in again. Orders and revenue stay. This cannot be undone.

    Example: adventureworks forget 291 --reason "request 17"
    """
    from adventureworks.cli.forget import forget

    forget(configuration(), person, by, reason, dry_run, yes)


@app.command("report")
def report_command(
    month: Annotated[str, typer.Argument(help="The month, for example 2014-05.")],
    lang: Annotated[str, typer.Option(help="Language of the files: en or fr.")] = "en",
    to: Annotated[Path, typer.Option(help="Folder for the workbook and the PDF.")] = Path(),
) -> None:
    """Write the workbook and the PDF of a month from the data that is published now.

    Example: adventureworks report 2014-05
    """
    from adventureworks.cli.report import make

    make(configuration(), month, lang, to)


@app.command("doctor")
def doctor_command() -> None:
    """Check this machine, the settings and the connections, and report what to fix.

    Example: adventureworks doctor
    """
    from adventureworks.cli.doctor import run_checks

    raise typer.Exit(run_checks(configuration()))


@app.command("watch")
def watch_command(
    once: Annotated[bool, typer.Option("--once", help="Run one round, then stop.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between rounds.")] = 15,
) -> None:
    """Start due analyses, detect unreported failures, and send waiting messages.

    It reports dead tasks, late marts and a stopped scheduler, for example. The local platform runs it automatically.
    Elsewhere, run it as an additional service beside Airflow's.

    Example: adventureworks watch --once
    """
    from adventureworks.cli.watch import watch

    watch(configuration(), every, once)


@app.command("backup")
def backup_command(
    folder: Annotated[Path, typer.Argument(help="Folder for the backup; it must not exist yet.")],
) -> None:
    """Back up the embedded databases, the secrets and the reports.

    The databases are saved as of one moment. The platform may be running.

    Example: adventureworks backup backups/monday
    """
    from adventureworks.cli.backup import save

    save(configuration(), folder)


SendWaiting = Annotated[
    bool,
    typer.Option(
        "--send-waiting",
        help="Send the messages that were waiting. Only safe if none of them was sent after the backup.",
    ),
]


@app.command("restore")
def restore_command(
    folder: Annotated[Path, typer.Argument(help="The folder that adventureworks backup wrote.")],
    send_waiting: SendWaiting = False,
) -> None:
    """Restore a backup into the home (ADVENTUREWORKS_HOME).

    A home that holds databases is never overwritten.

    Example: adventureworks restore backups/monday
    """
    from adventureworks.cli.backup import restore

    restore(configuration(), folder, send_waiting)


@app.command("restored")
def restored_command(send_waiting: SendWaiting = False) -> None:
    """Reconcile the platform's records after you restored its warehouse by other means.

    This ensures that no message is sent twice and no event is lost.

    Example: adventureworks restored
    """
    from adventureworks.cli.backup import restored

    restored(configuration(), send_waiting)


@app.command("migrate")
def migrate_command(
    revision: Annotated[
        str, typer.Argument(help="Revision of the records, for example 0001; default: the newest.")
    ] = "",
) -> None:
    """Migrate the platform's records, for example before going back to an older version. Stop everything first.

    Example: adventureworks migrate 0010
    """
    from adventureworks.cli.backup import migrate

    migrate(configuration(), revision)


@source_app.command("generate")
def source_generate(
    scale: Annotated[float, typer.Option(help="Amount of data; 1 is the size of the real company.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Random seed: the same seed produces the same data.")] = 1,
) -> None:
    """Replace the embedded source with generated data.

    Example: adventureworks source generate
    """
    from adventureworks.cli.source import generate

    generate(configuration(), scale, seed)


@source_app.command("load")
def source_load(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the installer's CSV files, or of CSV or Parquet files named Schema_Table.")
    ],
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave tables without a file unchanged.")
    ] = False,
) -> None:
    """Replace the embedded source with the files of a folder.

    Example: adventureworks source load exports/adventureworks
    """
    from adventureworks.cli.source import load

    load(configuration(), folder, allow_missing)


@source_app.command("simulate")
def source_simulate(
    days: Annotated[int, typer.Option(min=1, help="Number of days to simulate.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Random seed: the same seed produces the same days.")] = None,
) -> None:
    """Simulate days of business in the embedded source: orders, prices, stock, updates and deletes.

    Example: adventureworks source simulate --days 3
    """
    from adventureworks.cli.source import simulate

    simulate(configuration(), days, seed)


@source_app.command("sql")
def source_sql(
    statements: Annotated[
        list[str], typer.Argument(help='SQL statements, for example: update "Sales"."SalesOrderDetail" set …')
    ],
) -> None:
    """Run SQL statements on the embedded source, all in one transaction.

    They may also break the data, for example to see how the gates respond.

    Example: adventureworks source sql 'delete from "Sales"."SalesReason" where "SalesReasonID" = 10'
    """
    from adventureworks.cli.source import change

    change(configuration(), statements)


@app.command("shell", context_settings={"ignore_unknown_options": True})
def shell_command(
    command: Annotated[
        list[str] | None, typer.Argument(help="Command and arguments. Default: an interactive shell.")
    ] = None,
) -> None:
    """Run a command in the environment of this home's Airflow.

    Example: adventureworks shell airflow dags list
    """
    from adventureworks.cli.shell import shell

    raise typer.Exit(shell(configuration(), command or []))


EnvironmentName = Annotated[
    str, typer.Argument(help="Name, for example pr_42 for the schemas pr_42_raw, pr_42_marts and so on.")
]


@environment_app.command("build")
def environment_build(name: EnvironmentName) -> None:
    """Read what changed at the source, and compute what this code or the change affects, without Airflow.

    Everything else is reused as production has published it. A repeated build processes only what changed.

    Example: adventureworks environment build pr_42
    """
    from adventureworks.cli.environment import build

    raise typer.Exit(build(configuration(), name))


@environment_app.command("promote")
def environment_promote(name: EnvironmentName) -> None:
    """Publish in production what an environment has computed, without computing it again.

    Example: adventureworks environment promote pr_42
    """
    from adventureworks.cli.environment import promote

    promote(configuration(), name)


@environment_app.command("drop")
def environment_drop(
    name: EnvironmentName,
    force: Annotated[bool, typer.Option("--force", help="Drop it even if Airflow keeps it fresh.")] = False,
) -> None:
    """Drop an environment: its schemas and everything in them.

    Example: adventureworks environment drop pr_42
    """
    from adventureworks.cli.environment import drop

    drop(configuration(), name, force)


@environment_app.command("list")
def environment_list() -> None:
    """List the environments of the warehouse.

    Example: adventureworks environment list
    """
    from adventureworks.cli.environment import show

    show(configuration())


@contract_app.command("diff")
def contract_diff(
    revision: Annotated[
        str,
        typer.Argument(help="Git revision. Default: where this branch left main, or on main the commit before."),
    ] = "",
    output: Annotated[Literal["text", "markdown", "json"], typer.Option("--format", help="Output format.")] = "text",
) -> None:
    """Show how the contracts differ from a Git revision, whom each change breaks, and who reads the column.

    The exit status is 1 if a change needs a new version of its contract.

    Example: adventureworks contract diff origin/main
    """
    from adventureworks.cli.contract import diff

    raise typer.Exit(diff(revision, output))


@contract_app.command("export")
def contract_export(
    name: Annotated[str, typer.Argument(help="A table or mart. Default: all of them.")] = "",
    to: Annotated[Path | None, typer.Option(help="Folder for the files. Default: standard output.")] = None,
) -> None:
    """Write contracts in the Open Data Contract Standard 3.1.

    Example: adventureworks contract export daily_sales
    """
    from adventureworks.cli.contract import export

    export(configuration(), name, to)


@new_app.command("mart")
def new_mart_command(
    name: Annotated[str, typer.Argument(help="Name of the mart, for example order_counts.")],
    dag: Annotated[str, typer.Option(help="The analysis that builds it, for example sales_territory_analysis.")],
    inputs: Annotated[str, typer.Option(help="Tables and marts that it reads, separated by commas.")],
    key: Annotated[str, typer.Option(help="Columns of its key, separated by commas: product_id for ProductID.")],
) -> None:
    """Add a mart that counts the rows of its inputs by key: a model with everything that a mart needs, to start from.

    Example: adventureworks new mart order_counts --dag sales_territory_analysis --inputs fact_sales --key territory_id
    """
    from adventureworks.cli.new import new_mart

    new_mart(name, dag, inputs, key)


QuarantinedTable = Annotated[str, typer.Argument(help="A source table, such as Person_Person.")]


@quarantine_app.command("list")
def quarantine_list(
    table: Annotated[str, typer.Argument(help="A source table. Default: all of them.")] = "",
    rule: Annotated[str, typer.Option(help="Only rows that break this rule.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count the rows in quarantine by table and rule, and list who corrected or discarded rows.

    Example: adventureworks quarantine list Sales_SalesOrderDetail
    """
    from adventureworks.cli.quarantine import count

    count(configuration(), table, rule, as_json)


@quarantine_app.command("show")
def quarantine_show(
    table: QuarantinedTable,
    key: Annotated[str, typer.Argument(help="The row's key, or its number in the list of the table's rows.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows, newest first.")] = 20,
) -> None:
    """Show a table's rows in quarantine, each with the rule that it breaks.

    Example: adventureworks quarantine show Sales_SalesOrderDetail 43659,17
    """
    from adventureworks.cli.quarantine import show

    show(configuration(), table, key, limit)


@quarantine_app.command("export")
def quarantine_export(
    table: QuarantinedTable,
    to: Annotated[Path | None, typer.Option(help="A new file. Default: standard output.")] = None,
    kind: Annotated[
        Literal["csv", "json", "parquet"] | None,
        typer.Option("--format", help="Default: that of the file's name, else csv."),
    ] = None,
) -> None:
    """Write a table's rows in quarantine to a file that can be edited and replayed.

    Example: adventureworks quarantine export Sales_SalesOrderDetail --to lines.csv
    """
    from adventureworks.cli.quarantine import export

    export(configuration(), table, to, kind)


@quarantine_app.command("replay")
def quarantine_replay(
    table: QuarantinedTable,
    file: Annotated[Path | None, typer.Option(help="An export with corrected rows.")] = None,
    rule: Annotated[str, typer.Option(help="Replay only if rows break this rule; with --file, only those rows.")] = "",
    by: By = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Put a table's rows in quarantine through the gate again, as they are at the source or with corrections.

    A correction stays until the source row changes.

    Example: adventureworks quarantine replay Sales_SalesOrderDetail --file lines.csv
    """
    from adventureworks.cli.quarantine import run_replay

    run_replay(configuration(), table, file, rule, by, dry_run)


@quarantine_app.command("discard")
def quarantine_discard(
    table: QuarantinedTable,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    key: Annotated[str, typer.Option(help="Only the row with this key.")] = "",
    rule: Annotated[str, typer.Option(help="Only rows that break this rule.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All rows of the table.")] = False,
    by: By = None,
) -> None:
    """Discard rows in quarantine until the source changes them. Their last good version stays published.

    Example: adventureworks quarantine discard Sales_SalesOrderDetail --key 43659,17 --reason "test order"
    """
    from adventureworks.cli.quarantine import discard

    discard(configuration(), table, key, rule, everything, by, reason)


@quarantine_app.command("undo")
def quarantine_undo(
    table: QuarantinedTable,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    key: Annotated[str, typer.Option(help="Only the row with this key.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All corrections and discards of the table.")] = False,
    by: By = None,
) -> None:
    """Take back corrections and discards. The next ingestion judges the rows again, as the source delivers them.

    Example: adventureworks quarantine undo Sales_SalesOrderDetail --key 43659,17 --reason "wrong line"
    """
    from adventureworks.cli.quarantine import undo

    undo(configuration(), table, key, everything, by, reason)


Incident = Annotated[str, typer.Argument(help="The incident's id, or its first characters as the list shows them.")]


@incident_app.command("list")
def incident_list(
    everything: Annotated[
        bool, typer.Option("--all", help="Include incidents that were resolved in the last 30 days.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the incidents that are not resolved: errors first, then the oldest.

    Example: adventureworks incident list --all
    """
    from adventureworks.cli.incident import show_all

    show_all(configuration(), everything, as_json)


@incident_app.command("show")
def incident_show(incident: Incident) -> None:
    """Show the details of an incident, who was notified, and what to do.

    Example: adventureworks incident show 3f2a91
    """
    from adventureworks.cli.incident import show

    show(configuration(), incident)


@incident_app.command("ack")
def incident_ack(
    incident: Incident,
    by: Annotated[
        str | None, typer.Option("--by", help="Name of the person who handles it. Default: your login name.")
    ] = None,
) -> None:
    """Acknowledge an incident: reminders stop unless it gets worse.

    Example: adventureworks incident ack 3f2a91 --by Ann
    """
    from adventureworks.cli.incident import acknowledge

    acknowledge(configuration(), incident, by)


@incident_app.command("resolve")
def incident_resolve(incident: Incident) -> None:
    """Close an incident by hand.

    If its cause persists, the next run opens a new one.

    Example: adventureworks incident resolve 3f2a91
    """
    from adventureworks.cli.incident import resolve

    resolve(configuration(), incident)


def configuration() -> Settings:
    """Return the settings. Raises `PlatformError`, without the value, if a setting is invalid."""
    from pydantic import ValidationError

    from adventureworks.settings import settings

    try:
        return settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(["ADVENTUREWORKS", *(str(part).upper() for part in first["loc"][:1])])
        raise PlatformError(f"The setting {name} is invalid: {first['msg']}.", f"Change or unset {name}.") from None


def main() -> None:
    """Run a command. An error is one line on standard error and exit status 1; Ctrl-C is exit status 130."""
    collect_rarely()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except PlatformError as error:
        _print_error(str(error))
        sys.exit(1)
    except BrokenPipeError:
        # The program that reads the output, such as `head`, has closed the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in USER_ERRNOS:
            raise
        _print_error(f"{error.filename or 'The disk'}: {error.strerror}. Check the disk and the owner of the folder.")
        sys.exit(1)


def _interrupt(number: int, _frame: object) -> None:
    """End the command with an exception, so that everything it opened is closed."""
    raise SystemExit(128 + number)


def _print_error(message: str) -> None:
    line = " ".join(message.split())
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(f"\033[31m{line}\033[0m" if colour else line, file=sys.stderr)
