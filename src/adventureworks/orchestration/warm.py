"""What tasks need, imported once by the process from which task processes are forked.

Importing it anew in each task took longer than most tasks do.
"""

from __future__ import annotations

from importlib import import_module

# Imported, never used before the fork: thread pools do not survive one.
_HEAVY = (
    "adbc_driver_postgresql.dbapi",
    "psycopg",
    "rapidfuzz.fuzz",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "sqlglot",
    "statsmodels.tsa.forecasting.theta",
    "statsmodels.tsa.holtwinters",
    "typst",
    "vl_convert",
    "adventureworks.gate.detect",
    "adventureworks.gate.judge",
    "adventureworks.gate.load",
    "adventureworks.gate.publish",
    "adventureworks.gate.soda",
    "adventureworks.marts.gate",
    "adventureworks.marts.publish",
    "adventureworks.orchestration",
    "adventureworks.orchestration.notify",
    "adventureworks.reports.delivery",
    "adventureworks.reports.document",
    "adventureworks.reports.workbook",
    "adventureworks.source.files",
    "adventureworks.source.postgres",
)


def warm_up() -> None:
    """Imports what tasks need, and makes pandera's schemas of all contracts."""
    from adventureworks.catalog import MARTS, SOURCE_TABLES, entry

    for module in _HEAVY:
        import_module(module)
    for asset in (*SOURCE_TABLES, *MARTS):
        entry(asset).contract.to_schema()
