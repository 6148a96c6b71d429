"""Search over figures, analyses, tables, products, territories and customers.

A name matches if it contains every word of the query, whatever the case and the accents. Customers are found by their
number, and resellers by the name of their store; names of persons are not searched.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES
from adventureworks.catalog.pages import address, asset_address, has_page
from adventureworks.dashboard.breakdown import KPIS
from adventureworks.dictionary import definition, definitions
from adventureworks.texts import Language
from adventureworks.texts.analyses import analysis_name, view_meaning, view_name
from adventureworks.texts.plain import plain
from adventureworks.warehouse.session import Data

MOST = 10
"""The number of matches shown of a kind."""
SHORTEST, LONGEST = 2, 100
"""The number of characters of a query: a shorter one is not searched for, a longer one is cut."""

_PRODUCTS = """
    select "ProductID" as id, "Name" as name, "ProductNumber" as code from raw."Production_Product"
"""
_TERRITORIES = """
    select "TerritoryID" as id, "Name" as name, '' as code from raw."Sales_SalesTerritory"
"""
_CUSTOMERS = """
    select c."CustomerID" as id, coalesce(s."Name", '') as name, cast(c."CustomerID" as varchar) as code
    from raw."Sales_Customer" as c left join raw."Sales_Store" as s on s."BusinessEntityID" = c."StoreID"
"""


@dataclass(frozen=True)
class Match:
    """Something that was found."""

    name: str
    page: str
    """The address of its page, below the dashboard's."""
    code: str = ""
    """A name from the code or the source; the same in every language."""
    detail: str = ""


@dataclass(frozen=True)
class Group:
    """The matches of one kind, the shortest names first."""

    name: str
    matches: tuple[Match, ...]
    """At most `MOST`."""
    has_more: bool


def words_of(query: str) -> tuple[str, ...]:
    """Return the words of a query as they are searched for; none if it is too short."""
    words = tuple(folded(plain(query[:LONGEST])).split())
    return words if sum(map(len, words)) >= SHORTEST else ()


def folded(text: str) -> str:
    """Return a text in lower case, without accents and with straight apostrophes."""
    letters = unicodedata.normalize("NFKD", text.replace("’", "'"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()


_MARKED = "".join(
    letter for letter in ("’", *map(chr, range(0xC0, 0x180))) if len(folded(letter)) == 1 and folded(letter) != letter
)
"""The letters that `folded` changes into one other letter, for SQL; `lower` alone does the rest."""


def search(data: Data, words: tuple[str, ...], language: Language) -> tuple[Group, ...]:
    """Return what contains all words, by kind; kinds without a match are left out."""
    text = language.text
    groups = (
        _group(text("Figures"), [*_named(_kpis(language), words), *_named(_columns(language), words)]),
        _group(text("Analyses"), _named(_analyses(language), words)),
        _group(text("Tables and marts"), _named(_assets(), words)),
        _group(
            text("Products"),
            (
                Match(name, address("product_performance", key), code)
                for key, name, code in _rows(data, _PRODUCTS, words)
            ),
        ),
        _group(
            text("Territories"),
            (Match(name, f"figure/revenue?territory={key}") for key, name, _ in _rows(data, _TERRITORIES, words)),
        ),
        _group(
            text("Customers"),
            (
                Match(f"{text('Customer')} {key}", address("customer_value", key), detail=name)
                for key, name, _ in _rows(data, _CUSTOMERS, words)
            ),
        ),
    )
    return tuple(group for group in groups if group.matches)


def _group(name: str, found: Iterable[Match]) -> Group:
    matches = tuple(found)
    return Group(name, matches[:MOST], len(matches) > MOST)


def _named(candidates: Iterable[Match], words: tuple[str, ...]) -> list[Match]:
    """Return the candidates whose name or code contains all words."""
    found = [one for one in candidates if all(word in folded(f"{one.name} {one.code}") for word in words)]
    return sorted(found, key=lambda one: (len(one.name), one.name, one.code))


def _kpis(language: Language) -> Iterator[Match]:
    for name, kpi in KPIS.items():
        column = definition(kpi.mart, name, language)
        yield Match(column.label, f"figure/{name}", name, column.meaning)


def _columns(language: Language) -> Iterator[Match]:
    for mart in MARTS.values():
        for column in definitions(mart, language).values():
            page = f"lineage?mart={mart.name}#{column.name}"
            yield Match(column.label, page, f"{mart.name}.{column.name}", column.meaning)


def _analyses(language: Language) -> Iterator[Match]:
    for dag in ANALYSES:
        yield Match(analysis_name(dag, language), f"analysis/{dag}")
    for mart in filter(has_page, MARTS):
        yield Match(view_name(mart, language), address(mart), detail=view_meaning(mart, language))


def _assets() -> Iterator[Match]:
    for name in (*MARTS, *SOURCE_TABLES):
        yield Match(name, asset_address(name))


def _rows(data: Data, select: str, words: tuple[str, ...]) -> list[tuple[Any, str, str]]:
    """Return id, name and code of the rows whose name or code contains each word: one more than is shown."""
    parameters = {f"word_{place}": word for place, word in enumerate(words)}
    # `position` has no wildcards. Codes have no accents, and looking for some takes long: most customers have no name.
    searched = "lower(translate(name, %(marked)s, %(plain)s)) || ' ' || lower(code)"
    conditions = (f"position(%({name})s in {searched}) > 0" for name in parameters)
    found: list[tuple[Any, str, str]] = data.execute(
        f"select id, name, code from ({select}) as candidates where {' and '.join(conditions)}"
        f" order by length(name), name, id limit {MOST + 1}",
        {**parameters, "marked": _MARKED, "plain": folded(_MARKED)},
    ).fetchall()
    return found
