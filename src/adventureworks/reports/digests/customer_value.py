"""Customer value, and who may be lost. The digest contains no personal names."""

from __future__ import annotations

from adventureworks.charts.monthly import bars
from adventureworks.dictionary import definition, label
from adventureworks.errors import Step
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.texts import Language
from adventureworks.texts.terms import reorder_status, reorder_withheld, value_withheld
from adventureworks.warehouse.session import Session

MAX_CUSTOMERS = 10

_SEGMENTS = """
    select segment, count(*), sum(monetary) from marts.customer_value
    group by segment order by sum(monetary) desc, segment
"""
_CHANNELS = """
    select channel, count(*), sum(clv_52w), min(withheld_because) from marts.customer_value
    group by channel order by channel
"""
_REORDERS = """
    select channel, avg(reorder_probability_52w), count(*) filter (where status = 'unlikely'),
        count(*) filter (where status = 'lapsed'),
        case when count(reorder_probability_52w) = 0 then min(withheld_because) end
    from marts.customer_churn group by channel order by channel
"""
_LOST = """
    select v.customer_id, v.channel, c.status, v.monetary, c.days_silent from marts.customer_value as v
    join marts.customer_churn as c using (customer_id)
    where c.status in ('lapsed', 'unlikely') order by v.monetary desc, v.customer_id limit %s
"""


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest, or None if there are no customers."""
    text = language.text
    segments = session.data.execute(_SEGMENTS).fetchall()
    if not segments:
        return None
    channels = {"online": text("Online"), "reseller": text("Resellers")}
    as_of = session.data.execute("select max(as_of) from marts.customer_value").fetchone()
    figures, notes = [], []
    for channel, count, value, withheld in session.data.execute(_CHANNELS).fetchall():
        about = (
            text("expected from {count} customers in 52 weeks", count=language.number(count))
            if channel == "online"
            else text("margin of {count} resellers in the last twelve booking months", count=language.number(count))
        )
        figures.append(Figure(channels[channel], language.short_money(value), about))
        if withheld:
            reason = value_withheld(withheld, language)
            notes.append(text("{channel}: no margin, because {reason}.", channel=channels[channel], reason=reason))
    for channel, probability, unlikely, lapsed, withheld in session.data.execute(_REORDERS).fetchall():
        figures.append(
            Figure(
                text("Expected to order again, {channel}", channel=channels[channel].lower()),
                language.percent(probability),
                text(
                    "{lapsed} lapsed, {unlikely} unlikely to order again",
                    lapsed=language.number(lapsed),
                    unlikely=language.number(unlikely),
                ),
            )
        )
        if withheld:
            reason = reorder_withheld(withheld, language)
            notes.append(
                text(
                    "{channel}: no probability of another order, because {reason}.",
                    channel=channels[channel],
                    reason=reason,
                )
            )
    names: dict[str, str] = _segment_names(language)
    return Bulletin(
        title=text("Customers as of {day}", day=language.day(as_of[0] if as_of else None)),
        about=definition("customer_value", "clv_52w", language).line,
        figures=tuple(figures),
        listings=(
            Listing(
                text("Segments"),
                (label("segment", language), label("customers", language), label("monetary", language)),
                tuple(
                    (names.get(segment) or str(segment), language.number(count), language.money(so_far))
                    for segment, count, so_far in segments
                ),
            ),
            Listing(
                text("Most valuable customers who may be lost"),
                (
                    text("Customer"),
                    label("channel", language),
                    label("status", language),
                    label("monetary", language),
                    label("days_silent", language),
                ),
                tuple(
                    (
                        str(customer),
                        channels[channel],
                        reorder_status(status, language),
                        language.money(so_far),
                        language.number(silent),
                    )
                    for customer, channel, status, so_far, silent in session.data.execute(
                        _LOST, (MAX_CUSTOMERS,)
                    ).fetchall()
                ),
                text_columns=3,
            ),
        ),
        notes=tuple(notes),
        chart=bars(
            [(names.get(segment) or str(segment), so_far) for segment, _, so_far in segments], language, width=380
        ),
        chart_text=text("Revenue so far by segment."),
        next_steps=(Step(command="adventureworks sql \"select * from marts.customer_churn where status = 'lapsed'\""),),
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
