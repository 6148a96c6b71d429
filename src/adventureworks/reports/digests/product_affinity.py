"""Products that customers buy together more often than chance would explain, by channel."""

from __future__ import annotations

from adventureworks.dictionary import definition, label
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.texts import Language
from adventureworks.texts.terms import channel_name
from adventureworks.warehouse.session import Session

MAX_PAIRS = 20

_CHANNELS = """
    select channel, sum(case when lift_lower_95 > 1 then 1 else 0 end), count(*)
    from marts.product_affinity group by channel order by channel
"""
_PAIRS = """
    select product, other_product, orders_together, confidence, other_confidence, lift, lift_lower_95
    from marts.product_affinity where channel = %s and lift_lower_95 > 1
    order by orders_together desc, lift desc, product_id, other_product_id
"""


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest, or None if no products are often bought together."""
    text = language.text
    channels = session.data.execute(_CHANNELS).fetchall()
    if not channels:
        return None
    last = session.data.execute("select max(last_month) from marts.product_affinity").fetchone()
    measures = ("orders_together", "confidence", "other_confidence", "lift", "lift_lower_95")
    return Bulletin(
        title=text("Products bought together up to {month}", month=language.month(last[0] if last else None)),
        about=text("Products ordered together in the last twelve months more often than chance would explain."),
        figures=tuple(
            Figure(
                channel_name(channel, language),
                language.number(certain),
                text("of {count} frequent pairs", count=language.number(pairs)),
            )
            for channel, certain, pairs in channels
        ),
        listings=tuple(
            Listing(
                channel_name(channel, language),
                (label("product", language), label("other_product", language), *(label(m, language) for m in measures)),
                tuple(
                    (
                        product,
                        other,
                        language.number(together),
                        language.percent(confidence),
                        language.percent(other_confidence),
                        language.number(lift, 2),
                        language.number(lower, 2),
                    )
                    for product, other, together, confidence, other_confidence, lift, lower in session.data.execute(
                        _PAIRS, (channel,)
                    ).fetchall()
                ),
                text_columns=2,
                max_rows=MAX_PAIRS,
            )
            for channel, _, _ in channels
        ),
        notes=tuple(definition("product_affinity", measure, language).line for measure in measures),
        page="dashboard/overview#pairs",
    )
