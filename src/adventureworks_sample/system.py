"""The tables about the database itself: its version, the log of its schema changes, and an empty error log."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import source_columns_of
from adventureworks_sample.build import NamedTable, moment, rows, table

_BUILT = moment("2014-04-29T21:00:00")
_STATEMENTS = 1_596


def tables() -> Iterator[NamedTable]:
    """Yield the three tables of schema dbo; the error log is empty."""
    yield rows(
        "dbo_AWBuildVersion",
        ("SystemInformationID", "Database Version"),
        [(1, "1.0.0.0")],
        VersionDate=_BUILT,
        ModifiedDate=_BUILT,
    )
    yield _log()
    empty = [column.name for column in source_columns_of(SOURCE_TABLES["dbo_ErrorLog"])]
    yield table("dbo_ErrorLog", {name: pa.array([], pa.null()) for name in empty})


def _log() -> NamedTable:
    """Return the schema log: one row per statement, one for each table, then three for each column."""
    events = [
        ("CREATE_TABLE", known.schema, known.name, f"CREATE TABLE [{known.schema}].[{known.name}] (…)")
        for known in SOURCE_TABLES.values()
    ]
    for verb in ("CREATE_EXTENDED_PROPERTY", "ALTER_TABLE", "ALTER_EXTENDED_PROPERTY"):
        for known in SOURCE_TABLES.values():
            for column in source_columns_of(known):
                text = f"{verb.replace('_', ' ')} [{known.schema}].[{known.name}].[{column.name}]"
                events.append((verb, known.schema, known.name, text))
    events = events[:_STATEMENTS]
    schemas = [None if place % 190 == 189 else schema for place, (_, schema, _, _) in enumerate(events)]
    return table(
        "dbo_DatabaseLog",
        {
            "DatabaseLogID": np.arange(1, len(events) + 1),
            "PostTime": _BUILT + np.arange(len(events)) * np.timedelta64(10_000, "us"),
            "DatabaseUser": "dbo",
            "Event": [verb for verb, *_ in events],
            "Schema": schemas,
            "Object": [name for _, _, name, _ in events],
            "TSQL": [text for *_, text in events],
            "XmlEvent": [
                f"<EVENT_INSTANCE><EventType>{verb}</EventType><UserName>dbo</UserName><SchemaName>{schema}</SchemaName>"
                f"<ObjectName>{name}</ObjectName><TSQLCommand><CommandText>{text}</CommandText></TSQLCommand>"
                "</EVENT_INSTANCE>"
                for verb, schema, name, text in events
            ],
        },
    )
