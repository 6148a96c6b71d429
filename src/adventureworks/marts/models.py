"""SQL models: read, bound to what they may see, rendered for the warehouse's engine.

A model is one SELECT in the subset that PostgreSQL and Snowflake share, with tables named `raw.X` and `marts.x`, and
parameters as `:name`. Within one analysis a mart reads the candidates of the marts built before it.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Collection
from functools import cache
from importlib import resources

import sqlglot
from sqlglot import exp

from adventureworks.catalog import Mart
from adventureworks.errors import PlatformError

DIALECT = "snowflake"
"""The dialect that models are written in."""


def rendered(mart: Mart, engine: str, candidates: Collection[str]) -> str:
    """The model's SELECT for an engine, with pyformat parameters; marts in `candidates` are read from `staging`."""
    try:
        parsed = sqlglot.parse_one(source_text(mart), dialect=DIALECT)
    except sqlglot.errors.ParseError as error:
        raise PlatformError(f"The model of {mart.name} is no valid SELECT: {error}", "Mend its .sql file.") from error
    for reference in parsed.find_all(exp.Table):
        if reference.db == "marts" and reference.name in candidates:
            reference.set("db", exp.to_identifier("staging"))
    for placeholder in list(parsed.find_all(exp.Placeholder)):
        # psycopg and Snowflake's connector both bind %(name)s.
        placeholder.replace(exp.Var(this=f"%({placeholder.name})s"))
    return parsed.sql(dialect=engine, identify=True, comments=False)


@cache
def source_text(mart: Mart) -> str:
    """The model's file."""
    folder = resources.files(__package__).joinpath(mart.domain)
    return folder.joinpath(f"{mart.name}.sql").read_text(encoding="utf-8")


def digest(marts: Collection[Mart]) -> str:
    """Changes when a model or the contract of a mart changes: then every month is computed again."""
    digested = hashlib.sha256()
    for mart in marts:
        digested.update(source_text(mart).encode())
        digested.update(inspect.getsource(mart.contract).encode())
    return digested.hexdigest()[:16]
