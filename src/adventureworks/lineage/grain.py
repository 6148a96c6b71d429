"""Rewrites each `count(*)` so that it names the columns it depends on, because lineage follows only columns."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlglot import exp

KeyOf = Callable[[exp.Table], Collection[str]]
"""Returns the key columns of a table that the query reads."""


def expand_counts(query: exp.Expr, key_of: KeyOf) -> exp.Expr:
    """Replace each `count(*)` and each constant by the columns that identify the rows behind it.

    Only for lineage: the query is changed in place and no longer returns the same rows.
    """
    grains = _Grains(query, key_of)
    for select in list(query.find_all(exp.Select)):
        for projection in list(select.expressions):
            if _is_constant(projection):
                projection.unalias().replace(_coalesce(grains.of(select, frozenset()), projection.unalias().copy()))
        grouped = frozenset(column.name for column in _grouped_by(select) if isinstance(column, exp.Column))
        for count in [one for one in select.find_all(exp.Count) if one.parent_select is select]:
            if isinstance(count.this, exp.Star):
                count.this.replace(_coalesce(grains.of(select, grouped), exp.Literal.number(1)))
    return query


class _Grains:
    """Adds to the parts of a query a column that represents the columns identifying their rows."""

    def __init__(self, query: exp.Expr, key_of: KeyOf) -> None:
        self._parts = {part.alias.lower(): part for part in query.find_all(exp.CTE)}
        self._key_of = key_of
        self._added = 0
        self._open: dict[int, str] = {}

    def of(self, select: exp.Select, grouped: Collection[str]) -> list[exp.Expr]:
        """Return the columns that identify the rows read by a SELECT, except those that it groups by."""
        start = select.args.get("from_") or select.args.get("from")
        joined = [join.this for join in select.args.get("joins") or () if join.side != "LEFT"]
        return [column for source in ([start.this] if start else []) + joined for column in self._in(source, grouped)]

    def _in(self, source: exp.Expr, grouped: Collection[str]) -> list[exp.Expr]:
        alias = source.alias_or_name
        if isinstance(source, exp.Table) and source.db:
            return [exp.column(name, table=alias) for name in self._key_of(source)]
        part = self._parts[source.name.lower()] if isinstance(source, exp.Table) else source
        return [exp.column(self._column_of(part, grouped), table=alias)]

    def _column_of(self, part: exp.Expr, grouped: Collection[str]) -> str:
        if id(part) in self._open:
            # A recursive CTE reads itself.
            return self._open[id(part)]
        self._added += 1
        name = self._open[id(part)] = f"grain_{self._added}"
        self._add(part.this, name, grouped)
        named = part.args["alias"].args.get("columns")
        if named:
            named.append(exp.to_identifier(name))
        del self._open[id(part)]
        return name

    def _add(self, query: exp.Expr, name: str, grouped: Collection[str]) -> None:
        if isinstance(query, exp.SetOperation):
            self._add(query.left, name, grouped)
            self._add(query.right, name, grouped)
        elif isinstance(query, exp.Select):
            keys = _grouped_by(query)
            if not keys and query.args.get("distinct"):
                keys = [projection.unalias() for projection in query.expressions]
            known = {projection.unalias().sql(): projection.alias_or_name for projection in query.expressions}
            kept = [key for key in keys if known.get(key.sql()) not in grouped] or keys
            column = _coalesce([key.copy() for key in kept] or self.of(query, frozenset()), exp.Literal.number(1))
            query.select(exp.alias_(column, name), copy=False)


def _is_constant(projection: exp.Expr) -> bool:
    # A placeholder is a parameter, such as the business date, and has no origin in a table.
    return not any(projection.find_all(exp.Column, exp.Star, exp.Placeholder, exp.Query))


def _grouped_by(select: exp.Select) -> list[exp.Expr]:
    group = select.args.get("group")
    return list(group.expressions) if group else []


def _coalesce(columns: list[exp.Expr], otherwise: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=columns[0], expressions=[*columns[1:], otherwise]) if columns else otherwise
