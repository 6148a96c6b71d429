"""The buyer's workbook: what to order from which vendor, the other vendors, and low products that are not bought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from adventureworks.catalog import MARTS
from adventureworks.dictionary import definitions, limit_text, unit_text
from adventureworks.messaging import Attachment
from adventureworks.reports.delivery import MEDIA_TYPES
from adventureworks.reports.sheets import Cell, Column, Sheets, make_workbook
from adventureworks.texts import Language
from adventureworks.texts.terms import stock_state
from adventureworks.warehouse.session import Data

URGENCY = "case when state = 'out' then 0 else 1 end, order_by nulls last, product_id"
"""The order of proposals, the most urgent first: products that are out of stock, then by the day to order."""

_ORDERS = (
    "product_id",
    "product",
    "vendor",
    "order_by",
    "order_quantity",
    "order_unit",
    "order_pieces",
    "limited_by",
    "last_price",
    "amount",
    "needed_pieces",
    "state",
    "on_hand",
    "days_of_supply",
    "on_order",
    "lead_time_days",
    "minimum_order",
    "maximum_order",
    "rejected_share",
)
_NOT_BOUGHT = (
    "product_id",
    "product",
    "state",
    "on_hand",
    "reorder_point",
    "safety_stock_level",
    "days_of_supply",
    "needed",
    "lead_time_days",
)
_STYLES: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(("product", "vendor"), ("text", 34)),
    "order_by": ("date", 12),
    "last_price": ("money", 12),
    "amount": ("money", 16),
    "days_of_supply": ("decimal", 12),
    "rejected_share": ("share", 12),
    **dict.fromkeys(("order_unit", "limited_by", "state"), ("text", 26)),
}
"""By column that is not a whole number: the style and width of its cells."""

NOT_BOUGHT = """
    from marts.inventory_status where state in ('out', 'reorder', 'low')
        and product_id not in (select product_id from marts.purchase_proposal)
    order by days_of_supply nulls last, product_id
"""
"""The low products that are made in house or have no active vendor, as the end of a SELECT."""


def attachment(data: Data, as_of: date, language: Language) -> Attachment:
    """Return the workbook as a file for a mail."""
    text = language.text
    heading = text("Purchases on {day}", day=language.day(as_of))
    content = make_workbook(heading, as_of, language, lambda sheets: _write(sheets, data, language))
    name = text("purchases")
    return Attachment(f"{name}-{as_of.isoformat()}.xlsx", MEDIA_TYPES["workbook"], content)


def state_texts(language: Language) -> Mapping[str, str]:
    """Return the words for the states of products in the workbook, the worst first."""
    short = {code: stock_state(code, language) for code in ("out", "reorder", "low")}
    return {**short, "ok": language.text("Runs out soon")}


def _write(sheets: Sheets, data: Data, language: Language) -> None:
    text = language.text
    orders = (
        f"select {', '.join(_ORDERS)} from marts.purchase_proposal where preferred = %s order by {URGENCY}, vendor_id"
    )
    for title, preferred in ((text("Orders"), True), (text("Other vendors"), False)):
        _add(sheets, title, "purchase_proposal", _ORDERS, data.execute(orders, (preferred,)).fetchall(), language)
    low = data.execute(f"select {', '.join(_NOT_BOUGHT)} {NOT_BOUGHT}").fetchall()
    _add(sheets, text("Not bought"), "inventory_status", _NOT_BOUGHT, low, language)
    stock = definitions(MARTS["inventory_status"], language)
    meanings = (*definitions(MARTS["purchase_proposal"], language).values(), *(stock[name] for name in _NOT_BOUGHT))
    # A column that means the same in both marts is explained once.
    rows = list(dict.fromkeys((found.label, found.meaning) for found in meanings))
    sheets.add_texts(text("Definitions"), (text("Figure"), text("Meaning")), rows)


def _add(
    sheets: Sheets, title: str, mart: str, names: Sequence[str], rows: Sequence[Sequence[Any]], language: Language
) -> None:
    """Add a sheet with these rows of a mart, one column for each name."""
    meanings = definitions(MARTS[mart], language)
    columns = [Column(meanings[name].label, *_STYLES.get(name, ("whole", 12))) for name in names]
    cells = [[_cell(name, value, language) for name, value in zip(names, row, strict=True)] for row in rows]
    sheet = sheets.add(title)
    sheets.write_table(sheet, 0, columns, cells)
    sheet.freeze_panes(1, 2)


def _cell(name: str, value: Any, language: Language) -> Cell:
    if name == "order_unit":
        return unit_text(value, language)
    if name == "limited_by":
        return limit_text(value, language)
    return state_texts(language)[value] if name == "state" else value
