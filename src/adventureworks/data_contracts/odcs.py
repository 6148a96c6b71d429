"""Contracts in the Open Data Contract Standard 3.1 (ODCS), for catalogues and tools that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from adventureworks.catalog import ANALYSES, Mart, SourceTable, entry, fresh_within, producer_of
from adventureworks.columns import columns_of
from adventureworks.data_contracts.description import Column, Contract, Rule
from adventureworks.gate.check_files import declared_checks
from adventureworks.postgres_address import parts_of
from adventureworks.settings import Settings
from adventureworks.warehouse.dialect import snowflake_type
from adventureworks.warehouse.environments import schema_of
from adventureworks.warehouse.postgres import column_type
from adventureworks.warehouse.snowflake import schemas_of
from adventureworks.warehouse.snowflake_login import account_of
from adventureworks.warehouse.sql import published_schema

VERSION = "v3.1.0"

_LOGICAL_TYPES = {"date": "date", "datetime": "timestamp", "time": "time", "boolean": "boolean", "string": "string"}
_DIMENSIONS = {
    "volume": "completeness",
    "freshness": "timeliness",
    "referential": "consistency",
    "validity": "conformity",
}
"""The dimensions of checks that have another name in the standard."""
_PHYSICAL: Mapping[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "postgres": (str, str),
    # Unquoted names are stored in upper case.
    "snowflake": (str.upper, snowflake_type),
}
"""By kind of warehouse: how a name, and a type of PostgreSQL, appear in it."""
_LIMITS = {
    ("minimum", False): "minimum",
    ("minimum", True): "exclusiveMinimum",
    ("maximum", False): "maximum",
    ("maximum", True): "exclusiveMaximum",
}


def document(settings: Settings, asset: str, contract: Contract) -> dict[str, Any]:
    """Return the contract of a table or mart as a document of the standard."""
    known = entry(asset)
    purpose, _, remarks = contract.meaning.partition("\n\n")
    physical_name, physical_type = _PHYSICAL[settings.warehouse]
    columns = [
        {
            "name": column.name,
            "physicalName": physical_name(column.name),
            "physicalType": physical_type(column_type(column.dtype)),
            **_property(known, column.name, contract.columns[column.name], contract.key),
        }
        for column in columns_of(known)
    ]
    text = {"purpose": _line(purpose), "limitations": _line(remarks)}
    return {
        "apiVersion": VERSION,
        "kind": "DataContract",
        "id": f"adventureworks-{asset}",
        "name": asset,
        "version": contract.version,
        "status": "active",
        "domain": known.group,
        "dataProduct": "adventureworks",
        "description": {name: value for name, value in text.items() if value},
        **_servers(settings, known),
        "schema": [
            {
                "name": asset,
                "physicalName": physical_name(asset),
                "logicalType": "object",
                "physicalType": "table",
                "description": _line(contract.meaning),
                "dataGranularityDescription": _line(purpose),
                "properties": columns,
                "quality": [*_row_rules(contract), *_checks(settings, known)],
            }
        ],
        "team": {"name": known.owner},
        "roles": [{"role": "reader", "access": "read", "description": "Reads the published tables and marts"}],
        "slaProperties": [_freshness(known)],
    }


def _line(text: str) -> str:
    return " ".join(text.split())


def _property(known: SourceTable | Mart, name: str, column: Column, key: tuple[str, ...]) -> dict[str, Any]:
    options = dict(_options(column))
    quality = [_allowed(rule) if rule.kind == "values" else _text(name, rule) for name, rule in _quality(column)]
    unit = [{"property": "unit", "value": column.unit}] if column.unit else []
    protection = known.protected.get(name) if isinstance(known, SourceTable) else None
    stored = [{"property": "storedAs", "value": protection}] if protection else []
    found = {
        "logicalType": _logical_type(column.type),
        "logicalTypeOptions": options,
        "description": column.meaning,
        "required": not column.nullable,
        "unique": column.unique or key == (name,),
        "primaryKey": name in key,
        "primaryKeyPosition": key.index(name) + 1 if name in key else 0,
        "classification": _classification(known, name),
        "quality": quality,
        "customProperties": [*unit, *stored],
    }
    return {name: value for name, value in found.items() if value or name == "required"}


def _logical_type(dtype: str) -> str:
    if dtype.startswith("decimal"):
        return "number"
    return _LOGICAL_TYPES.get(dtype, "integer")


def _options(column: Column) -> Iterator[tuple[str, Any]]:
    for rule in column.rules.values():
        if rule.kind == "longest":
            yield "maxLength", int(rule.values[0])
        elif rule.kind in ("minimum", "maximum"):
            bound = rule.values[0]
            is_number = _logical_type(column.type) in ("number", "integer")
            yield _LIMITS[rule.kind, rule.excludes_bound], _number(bound) if is_number else bound


def _number(text: str) -> int | float:
    value = Decimal(text)
    return int(value) if value == value.to_integral_value() else float(value)


def _quality(column: Column) -> Iterator[tuple[str, Rule]]:
    return ((name, rule) for name, rule in column.rules.items() if rule.kind in ("values", "other"))


def _allowed(rule: Rule) -> dict[str, Any]:
    return {
        "type": "library",
        "metric": "invalidValues",
        "arguments": {"validValues": list(rule.values)},
        "mustBe": 0,
        "dimension": "conformity",
    }


def _text(name: str, rule: Rule) -> dict[str, Any]:
    return {"type": "text", "name": name, "description": rule.text, "dimension": "conformity"}


def _classification(known: SourceTable | Mart, name: str) -> str:
    """Return `restricted` for a secret column, `confidential` for one with personal data, otherwise nothing."""
    if not isinstance(known, SourceTable):
        return ""
    if name in known.protected:
        return "restricted"
    return "confidential" if name in known.personal else ""


def _row_rules(contract: Contract) -> Iterator[dict[str, Any]]:
    for name, rule in contract.rules.items():
        yield {**_text(name, rule), "dimension": "consistency", "severity": "error"}


def _checks(settings: Settings, known: SourceTable | Mart) -> Iterator[dict[str, Any]]:
    folder = settings.checks_folder / ("source" if isinstance(known, SourceTable) else "marts")
    for check in declared_checks(folder, known.asset):
        yield {
            "type": "text",
            "name": check.rule,
            "description": check.meaning or check.line,
            "dimension": _DIMENSIONS.get(check.dimension, check.dimension),
            "severity": "error",
        }


def _freshness(known: SourceTable | Mart) -> Mapping[str, Any]:
    minutes = int(fresh_within(known.asset).total_seconds() // 60)
    after = "its inputs were published" if isinstance(known, Mart) else "it was detected at the source"
    found = {
        "property": "freshness",
        "value": minutes,
        "unit": "min",
        "element": known.asset,
        "driver": "operational",
        "description": f"A change is published within {minutes} minutes after {after}",
    }
    analysis = ANALYSES.get(producer_of(known.asset))
    return {**found, "scheduler": "cron", "schedule": analysis.calendar} if analysis else found


def _servers(settings: Settings, known: SourceTable | Mart) -> dict[str, Any]:
    """Return where the table is, without login and password; nothing for the embedded PostgreSQL of one machine."""
    schema = published_schema(known)
    if settings.warehouse == "snowflake":
        place: dict[str, Any] = {
            "type": "snowflake",
            "account": account_of(settings),
            "database": settings.snowflake_database,
            "schema": dict(schemas_of(settings))[schema],
        }
    elif settings.warehouse_url is not None:
        parts = parts_of(settings.warehouse_url, "warehouse", "ADVENTUREWORKS_WAREHOUSE_URL")
        place = {
            "type": "postgres",
            "host": parts.get("host", "localhost"),
            "port": int(parts.get("port") or 5432),
            "database": parts.get("dbname", ""),
            "schema": schema_of(settings.environment, schema),
        }
    else:
        return {}
    return {"servers": [{"server": settings.environment or "production", **place}]}
