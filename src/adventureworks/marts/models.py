"""Models: read, bound to what they may see, rendered for the warehouse, or computed in Python.

A mart's model is `<domain>/<mart>.sql`: one SELECT in the subset that PostgreSQL and Snowflake share, with tables named
`raw.X` and `marts.x`, and parameters as `:name`. Where SQL is the wrong tool it is a package `<domain>/<mart>/` whose
`compute` gets what it reads from such SELECTs, one file each. Within one analysis a mart reads the candidates of the
marts built before it.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection, Mapping
from datetime import date
from functools import cache
from importlib import import_module, resources
from importlib.resources.abc import Traversable

import polars as pl
import sqlglot
from sqlglot import exp

from adventureworks.catalog import Mart, marts_of
from adventureworks.errors import PlatformError

DIALECT = "snowflake"
"""The dialect that models are written in."""
SPOKEN = "postgres"
"""The dialect of all statements to a warehouse; a connection to Snowflake rewrites them."""

Read = Callable[[str], pl.DataFrame]
"""Gives the rows of one of a package's SELECTs, by the name of its file."""


def is_sql(mart: Mart) -> bool:
    """Whether the mart is one SELECT; else a package computes it."""
    return _home(mart).joinpath(f"{mart.name}.sql").is_file()


@cache
def queries_of(mart: Mart) -> Mapping[str, str]:
    """The SELECTs of a mart's model, by name: its own, or those that its package reads."""
    if is_sql(mart):
        return {mart.name: _home(mart).joinpath(f"{mart.name}.sql").read_text(encoding="utf-8")}
    files = sorted(_home(mart).joinpath(mart.name).iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".sql"): file.read_text(encoding="utf-8") for file in files if file.name.endswith(".sql")
    }


def rendered(mart: Mart, name: str, candidates: Collection[str] = ()) -> str:
    """One of the model's SELECTs in the warehouse's words, with pyformat parameters; `candidates` are of `staging`."""
    parsed = _parsed(mart, name)
    for reference in parsed.find_all(exp.Table):
        if reference.db == "marts" and reference.name in candidates:
            reference.set("db", exp.to_identifier("staging"))
    for placeholder in list(parsed.find_all(exp.Placeholder)):
        # psycopg and Snowflake's connector both bind %(name)s.
        placeholder.replace(exp.Var(this=f"%({placeholder.name})s"))
    return parsed.sql(dialect=SPOKEN, identify=True, comments=False)


def tables_of(mart: Mart, name: str) -> set[tuple[str, str]]:
    """The tables and views that one of the model's SELECTs reads: schema and name."""
    return {(table.db, table.name) for table in _parsed(mart, name).find_all(exp.Table) if table.db}


def _parsed(mart: Mart, name: str) -> exp.Expr:
    try:
        return sqlglot.parse_one(queries_of(mart)[name], dialect=DIALECT)
    except sqlglot.errors.ParseError as error:
        raise PlatformError(f"The model of {mart.name} is no valid SELECT: {error}", "Mend its .sql file.") from error


def compute(mart: Mart, read: Read, as_of: date) -> pl.DataFrame:
    """The rows of a mart that a package computes, in the contract's columns and order."""
    package = import_module(f"{__package__}.{mart.domain}.{mart.name}")
    rows: pl.DataFrame = package.compute(read, as_of)
    return rows


@cache
def digest(mart: Mart) -> str:
    """Changes when the model, the contract or the catalogue's entry changes: then the mart is computed again, whole."""
    digested = hashlib.sha256(repr(mart).encode())
    digested.update(inspect.getsource(mart.contract).encode())
    for text in queries_of(mart).values():
        digested.update(text.encode())
    if not is_sql(mart):
        # Any Python of the domain may be part of it.
        for code in sorted(_python_files(_home(mart)), key=str):
            digested.update(code.read_bytes())
    return digested.hexdigest()[:16]


def digest_of(dag: str) -> str:
    """The same for all marts of an analysis."""
    return hashlib.sha256(" ".join(digest(mart) for mart in marts_of(dag)).encode()).hexdigest()[:16]


def _home(mart: Mart) -> Traversable:
    return resources.files(__package__).joinpath(mart.domain)


def _python_files(folder: Traversable) -> list[Traversable]:
    found = [file for file in folder.iterdir() if file.name.endswith(".py")]
    return found + [
        file
        for inner in folder.iterdir()
        if inner.is_dir() and inner.name != "__pycache__"
        for file in _python_files(inner)
    ]
