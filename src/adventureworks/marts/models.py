"""The models of the marts: read from their files and rendered for the warehouse, or computed in Python.

A mart's model is `<domain>/<mart>.sql`: one SELECT in the subset of SQL that PostgreSQL and Snowflake share, with
tables named `raw.X` and `marts.x`, and parameters as `:name`. If SQL is the wrong tool, the model is a package
`<domain>/<mart>/` whose `compute` reads its input through such SELECTs, one per file. Within an analysis, a mart reads
the candidates of the marts built before it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import date
from functools import cache, lru_cache
from importlib import import_module, resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl
from sqlglot import exp
from sqlglot.errors import SqlglotError

import contracts
from adventureworks.catalog import MARTS, Mart
from adventureworks.due import Months
from adventureworks.errors import PlatformError
from adventureworks.marts import prediction
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse import dialect, layout
from adventureworks.warehouse.by_month import restrict
from adventureworks.warehouse.postgres import rows_of
from adventureworks.warehouse.session import Session

if TYPE_CHECKING:
    from adventureworks.marts.changes import Changes

_HERE = Path(__file__).parent
_SHARED = (Path(prediction.__file__), _HERE / "changes.py")
"""The modules that packages of all domains may use."""
_Stamped = tuple[tuple[str, int], ...]
"""Files, each with the time of its last change."""

DIALECT = "snowflake"
"""The dialect that models are written in."""
TARGET_DIALECT = "postgres"
"""The dialect of all statements of a session; its data side in Snowflake rewrites them."""

Read = Callable[[str], pl.DataFrame]
"""Returns the rows of one of a package's SELECTs, by the name of its file."""


def is_sql(mart: Mart) -> bool:
    """Return whether the mart's model is one SELECT; otherwise a package computes it."""
    return (_home(mart) / f"{mart.name}.sql").is_file()


@cache
def queries_of(mart: Mart) -> Mapping[str, str]:
    """Return the SELECTs of a mart's model by name: its own, or those of its package."""
    return _queries_in_files(mart)


def parse_all() -> None:
    """Parse all models, for the processes that are forked from this one. They read the files again."""
    for mart in MARTS.values():
        for query in _queries_in_files(mart).values():
            # The build reports a model that is not valid.
            with suppress(SqlglotError):
                dialect.tree_of(query, DIALECT)


def _queries_in_files(mart: Mart) -> Mapping[str, str]:
    if is_sql(mart):
        return {mart.name: (_home(mart) / f"{mart.name}.sql").read_text(encoding="utf-8")}
    files = sorted((_home(mart) / mart.name).glob("*.sql"))
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def rendered(
    mart: Mart,
    name: str,
    candidates: Collection[str] = (),
    months: Months = None,
    rows: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return one of the model's SELECTs in the warehouse's dialect, with pyformat parameters.

    The marts in `candidates` are read from `staging`. `months`: the months whose rows are needed, if not all are. The
    rows of other months are then wrong, because only what these months depend on is read of the inputs by month.
    `rows`: by table or mart, a SELECT in the warehouse's dialect that is read in its place.
    """
    parsed = tree_of(mart, name).copy()
    if months is not None:
        restrict(parsed, mart.by_month, months, mart.echoes)
    for reference in parsed.find_all(exp.Table):
        if reference.db == "marts" and reference.name in candidates:
            reference.set("db", exp.to_identifier("staging"))
        if reference.name in rows:
            alias = reference.alias_or_name
            reference.replace(exp.alias_(exp.to_table(_place_of(reference.name)), alias, table=True))
    for placeholder in list(parsed.find_all(exp.Placeholder)):
        # psycopg and Snowflake's connector both bind %(name)s.
        placeholder.replace(exp.Var(this=f"%({placeholder.name})s"))
    select = parsed.sql(dialect=TARGET_DIALECT, identify=True, comments=False)
    for asset, query in rows.items():
        select = select.replace(quoted(_place_of(asset)), f"({query})")
    return select


def _place_of(asset: str) -> str:
    """Return a name that no table has, in place of a SELECT."""
    return f"{asset}__rows_of_a_select"


def tables_of(mart: Mart, name: str) -> frozenset[tuple[str, str]]:
    """Return the tables that one of the model's SELECTs reads, each as its schema and its name."""
    return frozenset((found.db, found.name) for found in tree_of(mart, name).find_all(exp.Table) if found.db)


def has_parameter(mart: Mart, name: str, parameter: str) -> bool:
    """Return whether the rows of one of the model's SELECTs depend on a parameter."""
    return any(found.name == parameter for found in tree_of(mart, name).find_all(exp.Placeholder))


def constants_of(mart: Mart, name: str) -> frozenset[str]:
    """Return the texts that one of the model's SELECTs contains."""
    return frozenset(found.name for found in tree_of(mart, name).find_all(exp.Literal) if found.is_string)


def reads_data(mart: Mart, name: str) -> bool:
    """Return whether one of the model's SELECTs reads data; otherwise it reads the platform's records, or no table."""
    return dialect.reads_data(tree_of(mart, name))


def reader(session: Session, mart: Mart, parameters: Mapping[str, Any], candidates: Collection[str] = ()) -> Read:
    """Return what reads the SELECTs of a mart's package in a session. The marts in `candidates` are read as staged."""

    def read(name: str) -> pl.DataFrame:
        query = rendered(mart, name, candidates)
        if reads_data(mart, name):
            return session.data.frame(query, parameters)
        return rows_of(session.records, query, parameters)

    return read


def tree_of(mart: Mart, name: str) -> exp.Expr:
    """Return the tree of one of the model's SELECTs, which nobody may change.

    Raises `PlatformError` if it is not a valid SELECT.
    """
    try:
        return dialect.tree_of(queries_of(mart)[name], DIALECT)
    except SqlglotError as error:
        raise PlatformError(f"The model of {mart.name} is not a valid SELECT: {error}", "Fix its .sql file.") from error


def compute(mart: Mart, read: Read, as_of: date) -> pl.DataFrame:
    """Return the rows of a mart that a package computes, with the contract's columns."""
    rows: pl.DataFrame = _package_of(mart).compute(read, as_of)
    return rows


def can_update(mart: Mart) -> bool:
    """Return whether a package can compute the rows of a mart from the published ones and what has changed since."""
    return not is_sql(mart) and hasattr(_package_of(mart), "update")


def updated(mart: Mart, read: Read, changes: Changes, as_of: date) -> pl.DataFrame | None:
    """Return what `compute` would return, from the published rows and what has changed since they were computed.

    None if the mart's package cannot tell.
    """
    rows: pl.DataFrame | None = _package_of(mart).update(read, changes, as_of)
    return rows


def affected(mart: Mart, read: Read, changes: Changes, as_of: date) -> Collection[int] | None:
    """Return the keys of the rows of a mart whose rules have to be checked again; None: of all rows."""
    find = getattr(_package_of(mart), "affected", None)
    keys: Collection[int] | None = find(read, changes, as_of) if find else None
    return keys


def _package_of(mart: Mart) -> Any:
    return import_module(f"{__package__}.{mart.domain}.{mart.name}")


def digests(checks: Path) -> dict[str, str]:
    """Return a digest of each mart's model, contract, checks and catalogue entry.

    `checks`: the folder of the marts' check files. A long-running process also notices changed files, but a changed
    contract only after a restart, because contracts are imported.
    """
    # A package may use any Python module of its domain.
    modules = {
        domain: _stamped(*sorted((_HERE / domain).rglob("*.py")), *_SHARED) for domain in _domains_with_packages()
    }
    return {
        mart.name: _digest(
            mart,
            _stamped(_home(mart) / f"{mart.name}.sql", checks / f"{mart.name}.yml")
            if is_sql(mart)
            else modules[mart.domain]
            + _stamped(*sorted((_home(mart) / mart.name).glob("*.sql")), checks / f"{mart.name}.yml"),
        )
        for mart in MARTS.values()
    }


def _stamped(*files: Path) -> _Stamped:
    """Return those of these files that exist, in the given order, each with the time of its last change.

    The order must not depend on where the folders are, or the digests would.
    """
    return tuple((str(file), os.stat(file).st_mtime_ns) for file in files if os.path.exists(file))


def _domains_with_packages() -> frozenset[str]:
    return frozenset(mart.domain for mart in MARTS.values() if not is_sql(mart))


@lru_cache(maxsize=256)
def _digest(mart: Mart, files: _Stamped) -> str:
    digested = hashlib.sha256(repr(mart).encode() + contract_text(mart.domain))
    for file, _ in files:
        digested.update(Path(file).read_bytes())
    return digested.hexdigest()[:16]


@cache
def contract_text(domain: str) -> bytes:
    """Return the contracts of a domain's marts and the views that all marts share.

    They are cached, as they were when this process, or the one that it was forked from, first read them.
    """
    folder, views = Path(contracts.__file__).parent, resources.files("adventureworks.warehouse")
    files = [folder / "marts" / f"{domain}.py", folder / "columns.py"]
    shared = [views.joinpath(name) for name in sorted(layout.SHARED_VIEWS)]
    return b"".join(file.read_bytes() for file in (*files, *shared))


def _home(mart: Mart) -> Path:
    return _HERE / mart.domain
