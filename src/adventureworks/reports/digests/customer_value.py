"""Customer value: the resellers at risk, to be called, and online customers by segment.

A customer is at risk if they have lapsed or are unlikely to order again (`customer_churn`); the segments of
`customer_value` say how recently and often customers ordered. The digest contains no names of private persons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adventureworks.charts.monthly import bars
from adventureworks.dictionary import definition, label
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.texts import Language
from adventureworks.texts.terms import channel_name, reorder_status, reorder_withheld, segment_name, value_withheld
from adventureworks.warehouse.session import Session

MAX_RESELLERS = 25

_AT_RISK = "c.status in ('lapsed', 'unlikely')"
_SEGMENTS = f"""
    select v.segment, count(*), sum(v.monetary), count(*) filter (where {_AT_RISK})
    from marts.customer_value as v left join marts.customer_churn as c using (customer_id)
    where v.channel = 'online' group by v.segment order by sum(v.monetary) desc, v.segment
"""
_CHANNELS = """
    select channel, count(*), sum(clv_52w), case when count(clv_52w) = 0 then min(withheld_because) end
    from marts.customer_value group by channel order by channel
"""
_REORDERS = """
    select channel, avg(reorder_probability_52w), count(*) filter (where status = 'unlikely'),
        count(*) filter (where status = 'lapsed'),
        case when count(reorder_probability_52w) = 0 then min(withheld_because) end
    from marts.customer_churn group by channel order by channel
"""
_RESELLERS = f"""
    select v.customer_id, s."Name", e."FirstName", e."LastName", c.status, c.last_order_date, v.monetary,
        v.monetary - f.cogs
    from marts.customer_value as v
    join marts.customer_churn as c using (customer_id)
    join (select customer_id, sum(cogs) as cogs from marts.customer_days group by customer_id) as f using (customer_id)
    left join raw."Sales_Customer" as k on k."CustomerID" = v.customer_id
    left join raw."Sales_Store" as s on s."BusinessEntityID" = k."StoreID"
    left join raw."Person_Person" as e on e."BusinessEntityID" = s."SalesPersonID"
    where v.channel = 'reseller' and {_AT_RISK} order by v.monetary desc, v.customer_id
"""
"""Stores with their sales persons, the largest first."""
_COHORTS = """
    select channel, cohort_month, customers, margin_3, margin_6, margin_12
    from (
        select channel, cohort_month, max(customers) as customers,
            max(case when months_since = 2 then margin end) as margin_3,
            max(case when months_since = 5 then margin end) as margin_6,
            max(case when months_since = 11 then margin end) as margin_12,
            row_number() over (partition by channel order by cohort_month desc) as place
        from marts.customer_cohort_value group by channel, cohort_month having max(months_since) >= 2
    ) as cohorts
    where place <= %s order by channel, cohort_month desc
"""
COHORTS = 12
"""The newest cohorts of a channel with three complete months."""


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest, or None if there are no customers."""
    text = language.text
    as_of = session.data.execute("select max(as_of) from marts.customer_value").fetchone()
    if as_of is None or as_of[0] is None:
        return None
    segments = session.data.execute(_SEGMENTS).fetchall()
    resellers = session.data.execute(_RESELLERS).fetchall()
    largest = resellers[:MAX_RESELLERS]
    channels = {channel: channel_name(channel, language) for channel in ("online", "reseller")}
    figures = []
    notes = [text("At risk: resellers who have missed two order cycles, and customers unlikely to order again.")]
    untested = set[str]()
    for channel, count, value, withheld in session.data.execute(_CHANNELS).fetchall():
        about = (
            text("expected from {count} customers in 52 weeks", count=language.number(count))
            if channel == "online"
            else text("margin of {count} resellers in the last twelve booking months", count=language.number(count))
        )
        figures.append(Figure(channels[channel], language.short_money(value), about))
        if withheld:
            reason = value_withheld(withheld, language)
            notes.append(
                text(
                    "{channel}: the margin is not published, because {reason}.",
                    channel=channels[channel],
                    reason=reason,
                )
            )
    for channel, probability, unlikely, lapsed, withheld in session.data.execute(_REORDERS).fetchall():
        # Only resellers have cycles of orders that they can miss.
        silent = [text("{count} lapsed", count=language.number(lapsed))] if channel == "reseller" else []
        if not withheld:
            silent.append(text("{count} unlikely to order again", count=language.number(unlikely)))
        figures.append(
            Figure(
                text("Expected to order again, {channel}", channel=channels[channel].lower()),
                language.percent(probability),
                ", ".join(silent),
            )
        )
        if withheld:
            untested.add(channel)
            reason = reorder_withheld(withheld, language)
            notes.append(
                text(
                    "{channel}: the probability of another order is not published, because {reason}.",
                    channel=channels[channel],
                    reason=reason,
                )
            )
    listings = (
        Listing(
            text("Resellers at risk: whom to call first")
            if largest == resellers
            else text(
                "Resellers at risk: whom to call first (the {shown} largest of {count})",
                shown=language.number(len(largest)),
                count=language.number(len(resellers)),
            ),
            (
                text("Store"),
                label("sales_person", language),
                label("status", language),
                text("Last order"),
                label("monetary", language),
                label("profit", language),
                label("margin", language),
            ),
            tuple(_reseller(row, language) for row in largest),
            text_columns=4,
        ),
        Listing(
            text("Online customers by segment"),
            (
                label("segment", language),
                label("customers", language),
                label("monetary", language),
                text("At risk"),
            ),
            tuple(
                (
                    segment_name(segment, language),
                    language.number(count),
                    language.money(so_far),
                    language.number(None if "online" in untested else at_risk),
                )
                for segment, count, so_far, at_risk in segments
            ),
        ),
        Listing(
            text("Margin of new customers, by month of the first order"),
            (
                label("channel", language),
                label("cohort_month", language),
                label("customers", language),
                *(text("Margin per customer, first {count} months", count=count) for count in (3, 6, 12)),
            ),
            tuple(
                (
                    channels[channel],
                    language.month(cohort),
                    language.number(customers),
                    *(language.money(None if margin is None else margin / customers) for margin in margins),
                )
                for channel, cohort, customers, *margins in session.data.execute(_COHORTS, (COHORTS,)).fetchall()
            ),
            text_columns=2,
            max_rows=2 * COHORTS,
        ),
    )
    return Bulletin(
        title=text("Customers as of {day}", day=language.day(as_of[0])),
        about=definition("customer_value", "clv_52w", language).line,
        figures=tuple(figures),
        listings=tuple(listing for listing in listings if listing.rows),
        notes=tuple(notes),
        chart=bars(
            [(segment_name(segment, language), so_far) for segment, _, so_far, _ in segments], language, width=380
        ),
        chart_text=text("Revenue of online customers so far, by segment."),
        page="dashboard/overview",
    )


def _reseller(row: Sequence[Any], language: Language) -> tuple[str, ...]:
    customer, store, first_name, last_name, status, last_order, revenue, profit = row
    return (
        store or str(customer),
        f"{first_name} {last_name}" if last_name else "",
        reorder_status(status, language),
        language.day(last_order),
        language.money(revenue),
        language.money(profit),
        language.percent(profit / revenue if revenue else None),
    )
