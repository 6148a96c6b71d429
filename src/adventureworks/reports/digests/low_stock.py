"""Products that are out of stock or low, the most urgent first."""

from __future__ import annotations

from adventureworks.dictionary import definition, label
from adventureworks.errors import Step
from adventureworks.marts.production.stock_alerts import LIST_COMMAND
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.texts import Language
from adventureworks.warehouse.session import Session

MAX_ROWS = 80
"""Mail clients truncate mails above about 100 kB."""

_STATES = "select state, count(*) from marts.inventory_status group by state"
_LOW = """
    select product, product_id, state, on_hand, reorder_point, days_of_supply, on_order, suggested_order
    from marts.inventory_status where state in ('out', 'reorder', 'low')
    order by case state when 'out' then 1 when 'reorder' then 2 else 3 end, days_of_supply nulls last, product_id
"""


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest, or None if all products are well stocked."""
    text = language.text
    counts: dict[str, int] = dict(session.data.execute(_STATES).fetchall())
    names = {"out": text("Out of stock"), "reorder": text("To reorder"), "low": text("Below safety stock")}
    rows = session.data.execute(_LOW).fetchall()
    if not rows:
        return None
    as_of = session.data.execute("select max(as_of) from marts.inventory_status").fetchone()
    return Bulletin(
        title=text("Stock on {day}", day=language.day(as_of[0] if as_of else None)),
        about=text("Products that need attention: {count}.", count=language.number(len(rows))),
        figures=tuple(Figure(name, language.number(counts.get(state, 0))) for state, name in names.items()),
        listings=(
            Listing(
                text("Most urgent first"),
                (
                    label("product", language),
                    label("state", language),
                    label("on_hand", language),
                    label("reorder_point", language),
                    label("days_of_supply", language),
                    label("on_order", language),
                    label("suggested_order", language),
                ),
                tuple(
                    (
                        f"{product} ({product_id})",
                        names[state],
                        language.number(on_hand),
                        language.number(point),
                        language.number(supply, 1),
                        language.number(on_order),
                        language.number(suggested),
                    )
                    for product, product_id, state, on_hand, point, supply, on_order, suggested in rows
                ),
                text_columns=2,
                max_rows=MAX_ROWS,
            ),
        ),
        notes=(definition("inventory_status", "days_of_supply", language).line,),
        next_steps=(Step(command=LIST_COMMAND),),
        page="dashboard/overview",
    )
