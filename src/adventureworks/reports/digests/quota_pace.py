"""How far each sales person is within the newest quota, compared with the same point of their earlier ones."""

from __future__ import annotations

from adventureworks.dictionary import definition, label
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.texts import Language
from adventureworks.warehouse.session import Session

_PACES = """
    select q.quota_date, q.elapsed_waves, q.waves, q.sales_person_id, p."FirstName", p."LastName", q.quota,
        q.sales_to_date, q.pace, q.usual_pace, q.expected_sales
    from marts.quota_pace as q left join raw."Person_Person" as p on p."BusinessEntityID" = q.sales_person_id
    where q.quota_date = (select max(quota_date) from marts.quota_pace)
    order by q.sales_to_date - q.expected_sales nulls last, q.sales_person_id
"""
"""The furthest behind their usual pace come first."""
_MEASURES = ("quota", "sales_to_date", "pace", "usual_pace", "expected_sales")


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest, or None if there are no quotas."""
    text = language.text
    rows = session.data.execute(_PACES).fetchall()
    if not rows:
        return None
    day, elapsed, waves = rows[0][:3]
    quota, sales = (sum(row[place] for row in rows) for place in (6, 7))
    return Bulletin(
        title=text(
            "Quotas since {day}, after {elapsed} of {waves} waves of orders",
            day=language.day(day),
            elapsed=elapsed,
            waves=waves,
        ),
        about=definition("quota_pace", "pace", language).line,
        figures=(
            Figure(
                label("sales_to_date", language),
                language.short_money(sales),
                text(
                    "{share} of quotas totalling {total}",
                    share=language.percent(sales / quota if quota else None),
                    total=language.short_money(quota),
                ),
            ),
        ),
        listings=(
            Listing(
                text("Sales people, those furthest behind their usual pace first"),
                (label("sales_person", language), *(label(measure, language) for measure in _MEASURES)),
                tuple(
                    (
                        f"{first_name} {last_name}" if last_name else str(person),
                        language.money(of_person),
                        language.money(to_date),
                        language.percent(pace),
                        language.percent(usual),
                        language.money(expected),
                    )
                    for *_, person, first_name, last_name, of_person, to_date, pace, usual, expected in rows
                ),
            ),
        ),
        notes=tuple(definition("quota_pace", measure, language).line for measure in _MEASURES[3:]),
        page="dashboard/overview#quotas",
    )
