"""Customer value and churn. The digest contains no personal names."""

from __future__ import annotations

from decimal import Decimal

from adventureworks.charts.monthly import bars
from adventureworks.dictionary import definition, label
from adventureworks.errors import Step
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.texts import Language
from adventureworks.warehouse.session import Session

MAX_CUSTOMERS = 10

_SEGMENTS = """
    select segment, count(*), sum(monetary), sum(clv_52w) from marts.customer_value
    group by segment order by sum(clv_52w) desc nulls last, segment
"""
_CHANNELS = "select channel, count(*), sum(clv_52w) from marts.customer_value group by channel order by channel"
_CHURN = """
    select channel, count(*) filter (where status = 'churned' and counts_in_churn_rate),
        count(*) filter (where counts_in_churn_rate), count(*) filter (where status = 'at_risk')
    from marts.customer_churn group by channel order by channel
"""
_AT_RISK = """
    select v.customer_id, v.channel, v.clv_52w, c.days_silent from marts.customer_value as v
    join marts.customer_churn as c using (customer_id)
    where c.status = 'at_risk' order by v.clv_52w desc nulls last, v.customer_id limit %s
"""


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest, or None if there are no customers."""
    text = language.text
    segments = session.data.execute(_SEGMENTS).fetchall()
    if not segments:
        return None
    channels = {"online": text("Online"), "reseller": text("Resellers")}
    as_of = session.data.execute("select max(as_of) from marts.customer_value").fetchone()
    figures = [
        Figure(
            channels[channel],
            language.short_money(value),
            text("expected from {count} customers in 52 weeks", count=language.number(count)),
        )
        for channel, count, value in session.data.execute(_CHANNELS).fetchall()
    ]
    for channel, churned, counted, at_risk in session.data.execute(_CHURN).fetchall():
        figures.append(
            Figure(
                text("Churn, {channel}", channel=channels[channel].lower()),
                language.percent(Decimal(churned) / counted if counted else None),
                text("{count} more at risk", count=language.number(at_risk)),
            )
        )
    names: dict[str, str] = _segment_names(language)
    expected = definition("customer_value", "clv_52w", language)
    return Bulletin(
        title=text("Customers as of {day}", day=language.day(as_of[0] if as_of else None)),
        about=expected.line,
        figures=tuple(figures),
        listings=(
            Listing(
                text("Segments"),
                (label("segment", language), label("customers", language), label("monetary", language), expected.label),
                tuple(
                    (
                        names.get(segment) or str(segment),
                        language.number(count),
                        language.money(so_far),
                        language.money(value),
                    )
                    for segment, count, so_far, value in segments
                ),
            ),
            Listing(
                text("Most valuable customers at risk"),
                (text("Customer"), label("channel", language), expected.label, label("days_silent", language)),
                tuple(
                    (str(customer), channels[channel], language.money(value), language.number(silent))
                    for customer, channel, value, silent in session.data.execute(_AT_RISK, (MAX_CUSTOMERS,)).fetchall()
                ),
                text_columns=2,
            ),
        ),
        chart=bars(
            [(names.get(s) or str(s), value) for s, _, _, value in segments if value is not None], language, width=380
        ),
        chart_text=text("Expected margin by segment."),
        next_steps=(
            Step(command="adventureworks sql \"select * from marts.customer_churn where status = 'at_risk'\""),
        ),
        page="dashboard/overview",
    )


def _segment_names(language: Language) -> dict[str, str]:
    text = language.text
    return {
        "champions": text("Champions"),
        "loyal": text("Loyal"),
        "at_risk": text("At risk"),
        "new": text("New"),
        "promising": text("Promising"),
        "hibernating": text("Hibernating"),
    }
