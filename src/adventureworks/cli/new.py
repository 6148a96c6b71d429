"""`adventureworks new …`: add something to a working copy of the repository."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from keyword import iskeyword
from pathlib import Path

from adventureworks import catalog
from adventureworks.catalog import ANALYSES, MARTS, SourceTable
from adventureworks.catalog.marts import FRESH_WITHIN
from adventureworks.cli.new_mart import (
    LINE_LENGTH,
    MEANINGS,
    TYPES,
    UNTRANSLATED,
    Input,
    NewMart,
    changed_files,
    new_files,
    snake,
)
from adventureworks.columns import Column, columns_of
from adventureworks.errors import PlatformError, Step
from adventureworks.settings import PROJECT_ROOT
from adventureworks.warehouse.layout import SHARED_VIEWS
from contracts import columns as contract_columns

MAX_NAME_LENGTH = 40
RESERVED = frozenset(
    """
    account all alter analyse analyze and anti any array as asc asof asymmetric at authorization between binary both by
    case cast check collate collation column columns concurrently connect connection constraint create cross current
    current_catalog current_date current_role current_schema current_time current_timestamp current_user database
    default deferrable delete desc describe distinct do drop else end except exists false fetch following for foreign
    freeze from full generated glob grant group gscluster having ilike in increment initially inner insert intersect
    into is isnull issue join lambda lateral leading left like limit localtime localtimestamp map minus natural not
    notnull null of offset on only or order organization outer overlaps pivot pivot_longer pivot_wider placing
    positional primary qualify references regexp returning revoke right rlike row rows sample schema select semi
    session_user set show similar some start struct summarize symmetric system_user table tablesample then to trailing
    trigger true try_cast tuple union unique unpack unpivot update user using values variadic verbose view when whenever
    where window with
    """.split()  # noqa: SIM905
)
"""The words that PostgreSQL 18, DuckDB 2.0 or Snowflake does not accept as the name of a table or column."""
_HELP = Step("See:", "adventureworks new mart --help")


def new_mart(name: str, dag: str, inputs: str, key: str) -> None:
    """Add a mart that counts the rows of its inputs by key, and print what to do next.

    Either all files are written or none. Raises `PlatformError` outside a working copy, if the mart or one of its files
    exists, and if its name, DAG, inputs or key are not valid.
    """
    if not (PROJECT_ROOT / "tests").is_dir() or not Path.cwd().is_relative_to(PROJECT_ROOT):
        raise PlatformError(
            f"{Path.cwd()} is not in the working copy of the repository that this command belongs to.",
            "Clone the repository, go to its folder, run make lint there once, and use its .venv/bin/adventureworks.",
        )
    mart = planned(name, dag, _parts(inputs), _parts(key))
    created, changed = new_files(mart), changed_files(mart, PROJECT_ROOT)
    write(PROJECT_ROOT, created, changed)
    print(
        _DONE.format(
            name=name,
            dag=dag,
            created="\n  ".join(map(str, created)),
            changed="\n  ".join(map(str, changed)),
            untranslated=UNTRANSLATED.strip(),
        )
    )


_DONE = """\
The mart {name} counts the rows of its inputs. Created:
  {created}
Changed:
  {changed}
Next (docs/add-a-mart.md explains each step):
  1. Replace the counts by your figures, in the model, the contract, the check and the second computation.
  2. Translate the texts that begin with {untranslated} in columns.po, and describe the mart in the DAG's documentation.
  3. Check it:    .venv/bin/python -m adventureworks.marts.lint
                  .venv/bin/python -m pytest -n 0 tests/unit -k "{name} or {dag} or translation"
  4. Compute it:  .venv/bin/adventureworks environment build try_it
                  ADVENTUREWORKS_ENVIRONMENT=try_it .venv/bin/adventureworks sql "select * from marts.{name}"
  5. Before the pull request: make docs, make validation and make test"""


def _parts(listed: str) -> list[str]:
    return [part.strip() for part in listed.split(",")]


def planned(name: str, dag: str, inputs: Sequence[str], key: Sequence[str]) -> NewMart:
    """Return the mart to add. Raises `PlatformError` if something about it is not valid."""
    _check_name(name)
    if dag not in ANALYSES:
        raise PlatformError(f"There is no analysis {dag}.", f"Choose one of {', '.join(ANALYSES)}.")
    if catalog.is_tolerant(dag):
        raise PlatformError(f"{dag} reads every table and mart, so it cannot build another mart.", _HELP)
    domain, owner = catalog.marts_of(dag)[0].domain, catalog.owner_of(dag)
    read = [_input(one, dag, key) for one in inputs]
    columns = [_key_columns(one, key) for one in read]
    for one, others in zip(read[1:], columns[1:], strict=True):
        for column, other in zip(columns[0], others, strict=True):
            if column.dtype != other.dtype:
                raise PlatformError(
                    f"{column.name} has another type in {one.entry.asset} than in {read[0].entry.asset}.",
                    "Choose another key, or begin with one input and add the other to the model by hand.",
                )
    mart = NewMart(name, dag, domain, owner, tuple(read), tuple(columns[0]))
    names = [*mart.names, *mart.counts, "as_of"]
    if len(set(names)) < len(names):
        raise PlatformError(f"The mart would have two columns of the same name: {', '.join(names)}.", _HELP)
    if len(mart.grain) + 10 > LINE_LENGTH:
        raise PlatformError("The key has too many columns.", "Begin with fewer, and add the others by hand.")
    if hasattr(contract_columns, mart.class_name):
        raise PlatformError(f"The name of its contract, {mart.class_name}, is that of a column type.", _HELP)
    return mart


def write(root: Path, created: Mapping[Path, str], changed: Mapping[Path, str]) -> None:
    """Write new and changed files: all of them, or none after an error or Ctrl-C.

    Raises `PlatformError` if a new one exists.
    """
    existing = [str(path) for path in created if (root / path).exists()]
    if existing:
        raise PlatformError(f"Files exist and are not overwritten: {', '.join(existing)}.", "Choose another name.")
    files = {**created, **changed}

    def beside(path: Path, suffix: str) -> Path:
        return root / path.with_name(f".{path.name}.{suffix}")

    try:
        for path, text in files.items():
            beside(path, "new").write_text(text, encoding="utf-8")
        for path in changed:
            shutil.copymode(root / path, beside(path, "new"))
            shutil.copy2(root / path, beside(path, "old"))
        try:
            for path in files:
                beside(path, "new").replace(root / path)
        except BaseException:
            for path in created:
                (root / path).unlink(missing_ok=True)
            for path in changed:
                beside(path, "old").replace(root / path)
            raise
    finally:
        for path in files:
            for suffix in ("new", "old"):
                beside(path, suffix).unlink(missing_ok=True)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", name) or len(name) > MAX_NAME_LENGTH:
        raise PlatformError(
            f"{name} is not a name for a mart.",
            f"Use at least two words of lower-case letters and digits, joined by _, and at most {MAX_NAME_LENGTH}"
            " characters; for example order_counts.",
        )
    if name in MARTS:
        raise PlatformError(f"There is already a mart {name}.", "Choose another name.")
    package = resources.files("adventureworks.warehouse")
    views = " ".join(package.joinpath(file).read_text(encoding="utf-8") for file in SHARED_VIEWS)
    if re.search(rf"\bstaging\.{name}\b", views):
        raise PlatformError(f"{name} is the name of a view that the marts share.", "Choose another name.")
    if name in RESERVED:
        raise PlatformError(f"{name} is a reserved word.", "Choose another name.")


def _input(name: str, dag: str, key: Sequence[str]) -> Input:
    """Return an input of a mart of this DAG, with its columns for the key."""
    entry = catalog.entry_named(name)
    producer = catalog.producer_of(name)
    if producer in catalog.readers_of(dag):
        raise PlatformError(f"{name} is computed from the marts of {dag}, so these cannot read it.", _HELP)
    if name in MARTS and catalog.fresh_within(name) > FRESH_WITHIN[ANALYSES[dag].calendar]:
        raise PlatformError(
            f"{dag} promises its marts sooner than {producer} promises {name}.",
            "Choose a DAG with a weekly calendar, or set fresh_within in the catalogue by hand.",
        )
    known = {snake(column.name): column.name for column in columns_of(entry)}
    missing = [column for column in key if column not in known]
    if missing:
        raise PlatformError(
            f"{name} has no column {' or '.join(missing)}. Each input is counted by the key.",
            f"Choose from {', '.join(known)}; add inputs without the key to the model by hand.",
        )
    return Input(entry, tuple(known[column] for column in key))


def _key_columns(one: Input, key: Sequence[str]) -> list[Column]:
    """Return an input's columns for the key, with the names and meanings that they have in the mart."""
    columns = {column.name: column for column in columns_of(one.entry)}
    personal = {*one.entry.personal, *one.entry.protected} if isinstance(one.entry, SourceTable) else set()
    found = []
    for name, key_name in zip(one.columns, key, strict=True):
        column = columns[name]
        problems = {
            f"would be called {key_name}, which is a reserved word": key_name in RESERVED or iskeyword(key_name),
            f"would be called {key_name}, which is not an identifier": not key_name.isidentifier(),
            "may be empty": column.nullable,
            "is personal data": name in personal,
            f"is of a type that no key has here ({column.dtype})": column.dtype.base_type() not in TYPES,
        }
        for problem, is_there in problems.items():
            if is_there:
                raise PlatformError(f"{name} of {one.entry.asset} {problem}.", "Choose another key.")
        meaning = column.description if column.description in MEANINGS else f"{name} of {one.entry.asset}"
        found.append(replace(column, name=key_name, description=meaning))
    return found
