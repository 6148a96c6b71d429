"""The command line. Each command's work lives in a module of this folder and is imported when it is called."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from adventureworks.errors import PlatformError
from adventureworks.garbage import collect_rarely

if TYPE_CHECKING:
    from adventureworks.settings import Settings

app = typer.Typer(
    name="adventureworks",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The AdventureWorks warehouse: fresh, gated, on this machine.",
)
source_app = typer.Typer(no_args_is_help=True, help="Fill or change the embedded source database.")
quarantine_app = typer.Typer(no_args_is_help=True, help="Look at the rows that were set aside.")
incident_app = typer.Typer(no_args_is_help=True, help="See what is wrong, take it on, and close it.")
app.add_typer(source_app, name="source")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(incident_app, name="incident")
environment_app = typer.Typer(
    no_args_is_help=True, help="Build everything into schemas of its own, and throw them away."
)
app.add_typer(environment_app, name="environment")

REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR})
"""What a file system says to people rather than to programmers."""


@app.command("run")
def run_command(
    source: Annotated[
        str | None,
        typer.Option(help="sample, a folder of files, or the URL of a PostgreSQL database. Default: the last one."),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Stop when every mart is fresh, or nothing is tried again within three minutes."),
    ] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the Airflow UI.")] = None,
) -> None:
    """Start everything, ingest the source, and keep every mart fresh until Ctrl-C."""
    from adventureworks.cli.run import run as start

    raise typer.Exit(start(configuration(), source, once, port))


@app.command("sql")
def sql_command(
    query: Annotated[str, typer.Argument(help="One statement, or - to read it from standard input.")],
    format: Annotated[Literal["table", "csv", "json"], typer.Option(help="How to print the rows.")] = "table",
) -> None:
    """Read the warehouse (read-only), whether or not the platform is running."""
    from adventureworks.cli.sql import query as ask

    ask(configuration(), sys.stdin.read() if query == "-" else query, format)


@app.command("status")
def status_command(
    asset: Annotated[str | None, typer.Argument(help="A table or mart; all of them if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say of every table and mart how fresh it is, what was set aside, and what is wrong."""
    from adventureworks.cli.status import show

    show(configuration(), asset, as_json)


@app.command("report")
def report_command(
    month: Annotated[str, typer.Argument(help="For example 2014-05.")],
    lang: Annotated[str, typer.Option(help="en or fr.")] = "en",
    to: Annotated[Path, typer.Option(help="The folder for the workbook and the PDF.")] = Path(),
) -> None:
    """Make the workbook and the PDF of a month, from what is published now."""
    from adventureworks.cli.report import make

    make(configuration(), month, lang, to)


@app.command("doctor")
def doctor_command() -> None:
    """Check this machine, the settings and the connections, and say what to fix."""
    from adventureworks.cli.doctor import examine

    raise typer.Exit(examine(configuration()))


@app.command("watch")
def watch_command(
    once: Annotated[bool, typer.Option("--once", help="Go round once, then stop.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two rounds.")] = 15,
) -> None:
    """Report what nobody reported (dead tasks, late marts, a stopped scheduler), and send what waits.

    The local platform runs it by itself. Elsewhere it is one more service, beside Airflow's.
    """
    from adventureworks.cli.watch import watch

    watch(configuration(), every, once)


@app.command("backup")
def backup_command(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
) -> None:
    """Save the embedded databases as of one moment, with secrets and reports; the platform may be running."""
    from adventureworks.cli.backup import save

    save(configuration(), folder)


SendWaiting = Annotated[
    bool, typer.Option("--send-waiting", help="Send the messages that waited; only if nothing was sent since.")
]


@app.command("restore")
def restore_command(
    folder: Annotated[Path, typer.Argument(help="What adventureworks backup wrote.")],
    send_waiting: SendWaiting = False,
) -> None:
    """Make a home (ADVENTUREWORKS_HOME) of a back-up. One that holds databases is never overwritten."""
    from adventureworks.cli.backup import restore

    restore(configuration(), folder, send_waiting)


@app.command("restored")
def restored_command(send_waiting: SendWaiting = False) -> None:
    """Tell the platform that you restored its warehouse by your own means: nothing is sent twice, no event is lost."""
    from adventureworks.cli.backup import restored

    restored(configuration(), send_waiting)


@source_app.command("generate")
def source_generate(
    scale: Annotated[float, typer.Option(help="1 is the size of the real company.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 1,
) -> None:
    """Replace the embedded source with generated data."""
    from adventureworks.cli.source import generate

    generate(configuration(), scale, seed)


@source_app.command("load")
def source_load(
    folder: Annotated[Path, typer.Argument(help="The installer's CSV files, or CSV or Parquet named Schema_Table.")],
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Leave tables without a file alone.")] = False,
) -> None:
    """Replace the embedded source with the files of a folder."""
    from adventureworks.cli.source import load

    load(configuration(), folder, allow_missing)


@source_app.command("simulate")
def source_simulate(
    days: Annotated[int, typer.Option(min=1, help="How many days of business.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same days.")] = None,
) -> None:
    """Let business go on in the embedded source: orders, prices, stock, updates and deletes."""
    from adventureworks.cli.source import simulate

    simulate(configuration(), days, seed)


@source_app.command("sql")
def source_sql(
    statements: Annotated[list[str], typer.Argument(help='For example: update "Sales"."SalesOrderDetail" set …')],
) -> None:
    """Change the embedded source by hand, for better or worse: all statements in one transaction."""
    from adventureworks.cli.source import change

    change(configuration(), statements)


EnvironmentName = Annotated[str, typer.Argument(help="For example pr_42: its schemas are pr_42_raw, pr_42_marts …")]


@environment_app.command("build")
def environment_build(name: EnvironmentName) -> None:
    """Ingest the source and compute every mart into an environment, without Airflow. Again: only what changed."""
    from adventureworks.cli.environment import build

    raise typer.Exit(build(configuration(), name))


@environment_app.command("drop")
def environment_drop(
    name: EnvironmentName,
    force: Annotated[bool, typer.Option("--force", help="Even if an Airflow keeps it fresh.")] = False,
) -> None:
    """Throw an environment away."""
    from adventureworks.cli.environment import drop

    drop(configuration(), name, force)


@environment_app.command("list")
def environment_list() -> None:
    """List the environments of the warehouse."""
    from adventureworks.cli.environment import show

    show(configuration())


@quarantine_app.command("list")
def quarantine_list() -> None:
    """Count the rows in quarantine by table and rule."""
    from adventureworks.cli.quarantine import count

    count(configuration())


@quarantine_app.command("show")
def quarantine_show(
    table: Annotated[str, typer.Argument(help="A source table, for example Sales_SalesOrderDetail.")],
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows, the newest first.")] = 20,
) -> None:
    """Show the rows of a table that are in quarantine, with the rule that each breaks."""
    from adventureworks.cli.quarantine import show

    show(configuration(), table, limit)


Incident = Annotated[str, typer.Argument(help="The first characters of its id, as the list shows them.")]


@incident_app.command("list")
def incident_list(
    everything: Annotated[bool, typer.Option("--all", help="Also what was resolved in the last 30 days.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List what is wrong: errors first, then the oldest."""
    from adventureworks.cli.incident import show_all

    show_all(configuration(), everything, as_json)


@incident_app.command("show")
def incident_show(incident: Incident) -> None:
    """Show all that is known of an incident, who was told, and what to do."""
    from adventureworks.cli.incident import show

    show(configuration(), incident)


@incident_app.command("ack")
def incident_ack(
    incident: Incident,
    by: Annotated[str | None, typer.Option("--by", help="Who takes it on; default: the name of your login.")] = None,
) -> None:
    """Say that somebody has taken it on: reminders stop, until it gets worse or is over."""
    from adventureworks.cli.incident import acknowledge

    acknowledge(configuration(), incident, by)


@incident_app.command("resolve")
def incident_resolve(incident: Incident) -> None:
    """Close an incident by hand. If its cause is still there, the next run opens a new one."""
    from adventureworks.cli.incident import resolve

    resolve(configuration(), incident)


def configuration() -> Settings:
    """The settings. Raises PlatformError, without the value, where one is wrong."""
    from pydantic import ValidationError

    from adventureworks.settings import settings

    try:
        return settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(["ADVENTUREWORKS", *(str(part).upper() for part in first["loc"][:1])])
        raise PlatformError(f"The setting {name} is wrong: {first['msg']}.", f"Change or unset {name}.") from None


def main() -> None:
    """Runs a command: an error is one line on standard error and exit status 1, an interruption exit status 130."""
    collect_rarely()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except PlatformError as error:
        _print_error(str(error))
        sys.exit(1)
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        _print_error(f"{error.filename or 'The disk'}: {error.strerror}. Check the disk and who owns the folder.")
        sys.exit(1)


def _interrupt(number: int, _frame: object) -> None:
    """Ends the command in good order: everything that it opened is closed on the way out."""
    raise SystemExit(128 + number)


def _print_error(message: str) -> None:
    line = " ".join(message.split())
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(f"\033[31m{line}\033[0m" if colour else line, file=sys.stderr)
