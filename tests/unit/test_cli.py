"""The command line without any service: its output, the streams it writes to, and its exit status."""

import errno
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import _ntuple_diskusage

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from adventureworks.cli import app, sql
from adventureworks.cli.progress import Progress
from adventureworks.cli.run import (
    ALLOW_MISSING,
    choose_source,
    run,
    warn_of_another_source,
    with_remembered_permission,
)
from adventureworks.embedded import home
from adventureworks.embedded.home import Home, unusable_home
from adventureworks.errors import PlatformError
from adventureworks.settings import Settings
from tests import command_line

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("ADVENTUREWORKS_HOME", str(tmp_path / "home"))

    return command_line.run


def commands(group: TyperGroup, *path: str) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Yield each command below a group, with the words by which it is called."""
    for name, below in group.commands.items():
        if isinstance(below, TyperGroup):
            yield from commands(below, *path, name)
        else:
            assert isinstance(below, TyperCommand)
            yield (*path, name), below


COMMANDS = typer.main.get_command(app)
assert isinstance(COMMANDS, TyperGroup)


@pytest.mark.parametrize(("path", "command"), [pytest.param(*one, id=" ".join(one[0])) for one in commands(COMMANDS)])
def test_help_of_a_command_ends_with_an_example_that_it_accepts(path: tuple[str, ...], command: TyperCommand) -> None:
    *_, last = (command.help or "").strip().splitlines()
    assert last.startswith("Example: ")
    program, *words = shlex.split(last.removeprefix("Example: "))
    assert (program, *words[: len(path)]) == ("adventureworks", *path)
    command.make_context(path[-1], words[len(path) :])


def test_help_names_every_command() -> None:
    program = [sys.executable, "-m", "adventureworks.cli", "--help"]
    shown = subprocess.run(program, check=True, capture_output=True, text=True)
    names = ("run", "sql", "status", "source", "shell", "quarantine", "doctor", "backup", "restore", "new")
    assert all(name in shown.stdout for name in names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sql", "select 1"), "There is no warehouse yet. Start: adventureworks run"),
        (("status", "Sales_Nothing"), "There is no table or mart Sales_Nothing."),
        (("quarantine", "show", "Nothing"), "There is no source table Nothing."),
        (("quarantine", "replay", "Person_Person", "--file", "rows.txt"), "rows.txt is not a CSV, JSON or Parquet"),
        (("quarantine", "discard", "Person_Person", "--reason", "x"), "Choose the rows with exactly one of --key"),
        (("run", "--source", "/nowhere"), "The source /nowhere does not exist."),
        (("run", "--source", "postgresql:/u:secret@h/d"), "The source is neither a path nor a valid URL."),
        (
            ("run", "--source", "Server=h;Password=secret"),
            "The source is a connection string, not a URL. For SQL Server,",
        ),
        (("run", "--source", "mysql://u:secret@h/d"), "A source with a mysql:// URL is not supported."),
    ],
)
def test_error_is_one_line_on_standard_error(command: Command, arguments: tuple[str, ...], message: str) -> None:
    done = command(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


def test_invalid_setting_is_named_without_its_value(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADVENTUREWORKS_BATCH_ROWS", "s3cret")
    done = command("status")
    assert done.returncode == 1
    assert "ADVENTUREWORKS_BATCH_ROWS" in done.stderr
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_status_of_an_empty_home_creates_no_database(command: Command, tmp_path: Path) -> None:
    assert command("status").stdout.strip() == "Nothing is published yet. Start: adventureworks run"
    assert json.loads(command("status", "--json").stdout) == {"assets": [], "incidents": []}
    assert not (tmp_path / "home").exists()


def test_source_is_remembered_and_a_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = Settings(home=tmp_path / "home")
    assert choose_source(settings, None) == "sample"
    assert choose_source(settings, "data") == str(tmp_path / "data")
    state = Home(settings.home)
    state.prepare()
    state.remember("source", "postgresql://u@h/d")
    assert choose_source(settings, None) == "postgresql://u@h/d"
    assert choose_source(settings, "sample") == "sample"
    assert choose_source(settings, f"file://{tmp_path}/data") == str(tmp_path / "data")
    for chosen in ("mssql+pyodbc://u@h/d", "airflow:mssql_default", "s3://lake@bucket/aw", "https://host/aw.zip"):
        assert choose_source(settings, chosen) == chosen


def test_missing_tables_stay_allowed_for_the_source_that_is_remembered(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    state = Home(settings.home)
    state.prepare()
    state.remember("source", "postgresql://u@h/d")
    assert not with_remembered_permission(settings, "postgresql://u@h/d").allow_missing
    state.remember(ALLOW_MISSING, True)
    assert with_remembered_permission(settings, "postgresql://u@h/d").allow_missing
    assert not with_remembered_permission(settings, "postgresql://u@h/other").allow_missing


def test_another_source_in_a_used_home_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    settings = Settings(home=tmp_path / "home")
    for last, is_warned_of in ((None, False), ("sample", True)):
        if last:
            state = Home(settings.home)
            state.prepare()
            state.remember("source", last)
        with pytest.raises(PlatformError):
            run(settings, str(tmp_path / "data"), once=True, port=None, allow_missing=False)
        assert ("read another source" in capsys.readouterr().out) is is_warned_of
    warn_of_another_source(settings, "sample", Progress())
    assert capsys.readouterr().out == ""


def test_a_key_in_the_address_of_a_store_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="contains a key or a password"):
        run(Settings(home=tmp_path / "home"), "s3://AKIA:s3cret@bucket/aw", once=True, port=None, allow_missing=False)


def test_the_command_that_does_without_missing_tables_names_the_source_that_was_refused(tmp_path: Path) -> None:
    folder = tmp_path / "my exports"
    folder.mkdir()
    (folder / "Sales_Store.csv").touch()
    settings = Settings(home=tmp_path / "home")
    with pytest.raises(PlatformError) as refused:
        run(settings, str(folder), once=True, port=None, allow_missing=False)
    assert refused.value.next_step.command == f"adventureworks run --source '{folder}' --allow-missing"
    with pytest.raises(PlatformError) as refused:
        run(settings.model_copy(update={"source": str(folder)}), None, once=True, port=None, allow_missing=False)
    assert refused.value.next_step.command == "adventureworks run --allow-missing", "it is configured"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EROFS, "it is read-only. Choose another folder: ADVENTUREWORKS_HOME=DIR"),
        (errno.EACCES, "you may not write there. Choose another folder: ADVENTUREWORKS_HOME=DIR"),
        (errno.ENOSPC, "0 MB free, 1,000 MB needed. Free some space"),
    ],
)
def test_error_for_an_unusable_home_says_what_to_do(number: int, message: str) -> None:
    assert message in str(unusable_home(Path("/x"), OSError(number, "from the system")))


def test_nearly_full_disk_is_reported_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home.shutil, "disk_usage", lambda _: _ntuple_diskusage(10**12, 10**12, 5 * 10**6))
    with pytest.raises(PlatformError, match="is full: 5 MB free, 1,000 MB needed"):
        Home(tmp_path / "home").prepare()


def test_json_keeps_every_digit_and_null(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [("amount", "numeric"), ("name", "text"), ("good", "bool"), ("rate", "float8")]
    sql._print_json(columns, [("12345678901234567890.123400", None, "t", "NaN"), ("0.10", 'é"', "f", "1")])
    printed = capsys.readouterr().out
    assert '"amount": 12345678901234567890.123400' in printed
    assert json.loads(printed)[1] == {"amount": 0.1, "name": 'é"', "good": False, "rate": 1}
    assert json.loads(printed)[0]["rate"] == "NaN"


@pytest.mark.parametrize("arguments", [("run",), ("source", "generate"), ("sql", "select 1")])
def test_home_that_cannot_be_a_folder_is_a_one_line_error(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADVENTUREWORKS_HOME", str(tmp_path / "file" / "home"))
    done = command(*arguments)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
