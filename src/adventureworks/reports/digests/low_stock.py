"""What to order, and which products are out of stock or low, the most urgent first. The workbook has all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adventureworks.dictionary import content_note, definition, label, limit_text, unit_text
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.messaging.notice_wording import STOCK_PAGE
from adventureworks.reports import purchase_list
from adventureworks.texts import Language
from adventureworks.warehouse.session import Data, Session

MAX_ROWS = 10
"""More rows are in the workbook only."""
ALARMS = ("out", "reorder", "low")

_STATES = "select state, count(*) from marts.inventory_status group by state"
_TOTAL = """
    select count(*), sum(amount), count(case when order_by < as_of then 1 end)
    from marts.purchase_proposal where preferred and order_quantity > 0
"""
_ORDERS = f"""
    select product, product_id, vendor, needed_pieces, order_quantity, order_unit, limited_by, amount, lead_time_days,
        order_by, order_pieces
    from marts.purchase_proposal where preferred and order_quantity > 0 order by {purchase_list.URGENCY}
"""
_NOT_BOUGHT = f"select product, product_id, state, on_hand, days_of_supply, needed {purchase_list.NOT_BOUGHT}"


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest with the workbook, or None if all products are well stocked and nothing is to be ordered."""
    text, data = language.text, session.data
    counts: dict[str, int] = dict(data.execute(_STATES).fetchall())
    low = sum(counts.get(state, 0) for state in ALARMS)
    as_of = (data.execute("select max(as_of) from marts.inventory_status").fetchone() or (None,))[0]
    orders, amount, late = data.execute(_TOTAL).fetchone() or (0, None, 0)
    if as_of is None or not (low or orders):
        return None
    states = purchase_list.state_texts(language)
    proposed = data.execute(_ORDERS).fetchall()
    unknown = [order_unit for *_, order_unit, _, _, _, _, pieces in proposed[:MAX_ROWS] if pieces is None]
    notes = (
        content_note(unknown, language),
        text("The attached workbook contains all products, the other vendors, and what the figures mean."),
        definition("purchase_proposal", "order_by", language).line,
    )
    listings = (_orders(proposed, language), _not_bought(data, language))
    return Bulletin(
        title=text("Stock on {day}", day=language.day(as_of)),
        about=text("Products that need attention: {count}.", count=language.number(low)),
        figures=(
            *(Figure(states[state], language.number(counts.get(state, 0))) for state in ALARMS),
            Figure(text("Products to order"), language.number(orders)),
            Figure(text("Value of the proposed orders"), language.short_money(amount)),
            Figure(text("Orders that are late"), language.number(late)),
        ),
        listings=tuple(listing for listing in listings if listing.rows),
        notes=tuple(note for note in notes if note),
        page=STOCK_PAGE,
        attachments=(purchase_list.attachment(data, as_of, language),),
    )


def _orders(proposed: Sequence[Sequence[Any]], language: Language) -> Listing:
    number = language.number
    return Listing(
        language.text("To order, most urgent first"),
        (
            label("product", language),
            label("vendor", language),
            label("needed_pieces", language),
            label("order_quantity", language),
            label("amount", language),
            label("lead_time_days", language),
            label("order_by", language),
        ),
        tuple(
            (
                f"{product} ({product_id})",
                vendor,
                number(needed),
                _order(quantity, unit, limit, language),
                language.money(amount),
                language.days(lead_time),
                language.day(order_by),
            )
            for product, product_id, vendor, needed, quantity, unit, limit, amount, lead_time, order_by, _ in proposed
        ),
        text_columns=2,
        max_rows=MAX_ROWS,
    )


def _order(quantity: int, unit: str, limit: str, language: Language) -> str:
    """Return what to order in words, such as `5 × case, vendor's maximum`."""
    order = f"{language.number(quantity)} × {unit_text(unit, language)}"
    return ", ".join(part for part in (order, limit_text(limit, language)) if part)


def _not_bought(data: Data, language: Language) -> Listing:
    states = purchase_list.state_texts(language)
    return Listing(
        language.text("Low, made in house or without a vendor"),
        (
            label("product", language),
            label("state", language),
            label("on_hand", language),
            label("days_of_supply", language),
            label("needed", language),
        ),
        tuple(
            (
                f"{product} ({product_id})",
                states[state],
                language.number(on_hand),
                language.number(supply, 1),
                language.number(needed),
            )
            for product, product_id, state, on_hand, supply, needed in data.execute(_NOT_BOUGHT).fetchall()
        ),
        text_columns=2,
        max_rows=MAX_ROWS,
    )
