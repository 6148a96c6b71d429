"""Reference of the DAGs, tables, marts and checks, from the catalogue, the contracts and the check files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from adventureworks import dictionary, texts
from adventureworks.catalog import ANALYSES, INGESTION, MARTS, SOURCE_TABLES, Mart, SourceTable, entry
from adventureworks.columns import Column, columns_of, key_of
from adventureworks.gate.check_files import declared_checks
from adventureworks.lineage.origins import columns as lineage_of
from adventureworks.reference.markdown import code, codes, table
from adventureworks.settings import PROJECT_ROOT

_ENGLISH = texts.language("en")


def dags() -> str:
    """Return the documentation of every DAG, as Airflow's UI shows it, with its calendar."""
    return "\n\n".join(_dags())


def _dags() -> Iterator[str]:
    files = {path.stem: path for path in (PROJECT_ROOT / "dags").rglob("*.py")}
    for name in (INGESTION, *ANALYSES):
        text = ast.get_docstring(ast.parse(files[name].read_text(encoding="utf-8"))) or ""
        yield f"## {name}"
        yield text.replace("### ", "**", 1).replace("\n", "**\n", 1)
        if name in ANALYSES:
            yield f"Calendar (cron, UTC): `{ANALYSES[name].calendar}`"


def source_tables() -> str:
    """Return every source table with its columns, keys, owner and protection of personal data."""
    return "\n\n".join(
        part for known in SOURCE_TABLES.values() for part in (f"## {known.asset}", *_source_table(known))
    )


def _source_table(known: SourceTable) -> Iterator[str]:
    unit = f" Publish unit: `{known.unit}`." if known.unit else ""
    yield f"{dictionary.grain(known, _ENGLISH)}"
    yield f"Owner: {known.owner}. Key: {codes(key_of(known))}.{unit} Read by: {_readers(known.asset)}."
    if known.person:
        through = f" through {code(known.person.through)}" if known.person.through else ""
        through += f", unless {code(known.person.unless)} is set there" if known.person.unless else ""
        yield f"Whose data a row holds: {code(known.person.column)}{through}."
    yield table(
        ("Column", "Type", "Empty", "Meaning", "Protection"),
        (
            (code(column.name), _type(column), _empty(column), column.description, _protection(known, column.name))
            for column in columns_of(known)
        ),
    )


def _protection(known: SourceTable, column: str) -> str:
    if kind := known.protected.get(column):
        return "only the last four characters are stored" if kind == "last_four" else "never stored"
    return "personal" if column in known.personal else ""


def marts() -> str:
    """Return every mart with its inputs and readers, and its columns with their origins in the source."""
    return "\n\n".join(part for mart in MARTS.values() for part in (f"## {mart.name}", *_mart(mart)))


def _mart(mart: Mart) -> Iterator[str]:
    yield dictionary.grain(mart, _ENGLISH)
    yield (
        f"Owner: {mart.owner}. DAG: `{mart.dag}`. Key: {codes(key_of(mart))}. Inputs: {codes(mart.inputs)}."
        f" Read by: {_readers(mart.name)}."
    )
    meanings = dictionary.definitions(mart, _ENGLISH)
    types = {column.name: column for column in columns_of(mart)}
    yield table(
        ("Column", "Type", "Empty", "Meaning", "Origin in the source"),
        (
            (
                code(found.name),
                _type(types[found.name]),
                _empty(types[found.name]),
                meanings[found.name].meaning,
                codes(sorted({f"{asset}.{column}" for asset, column in found.from_source})),
            )
            for found in lineage_of(mart.name)
        ),
    )


def checks(folder: Path) -> str:
    """Return the checks of every table and mart, from the check files of a folder."""
    return "\n\n".join(
        f"## {asset}\n\n"
        + table(
            ("Rule", "Kind", "Check"),
            (
                (code(found.rule), found.kind, found.meaning or code(found.line))
                for found in declared_checks(folder / kind, asset)
            ),
        )
        for kind, assets in (("source", SOURCE_TABLES), ("marts", MARTS))
        for asset in assets
    )


def graph() -> str:
    """Return the assets in the order in which they can be computed, with what each reads and who reads it."""
    return table(
        ("Asset", "DAG", "Inputs", "Read by"),
        (
            (code(name), code(INGESTION if name in SOURCE_TABLES else MARTS[name].dag), _inputs(name), _readers(name))
            for name in (*SOURCE_TABLES, *MARTS)
        ),
    )


def _inputs(name: str) -> str:
    known = entry(name)
    return codes(known.inputs) if isinstance(known, Mart) else "the source"


def _readers(name: str) -> str:
    return codes(mart.name for mart in MARTS.values() if name in mart.inputs) or "no mart"


def _type(column: Column) -> str:
    return str(column.dtype) if column.longest is None else f"{column.dtype}, at most {column.longest} characters"


def _empty(column: Column) -> str:
    return "yes" if column.nullable else "no"
