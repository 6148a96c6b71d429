"""What the SELECTs of a mart's model read."""

import sqlglot
from sqlglot import exp

from adventureworks.catalog import Mart
from adventureworks.marts import models


def tables_read(mart: Mart, name: str) -> set[tuple[str, str]]:
    """Return the schema and name of the tables and views that one of the model's SELECTs reads."""
    parsed = sqlglot.parse_one(models.queries_of(mart)[name], dialect=models.DIALECT)
    return {(table.db, table.name) for table in parsed.find_all(exp.Table) if table.db}
