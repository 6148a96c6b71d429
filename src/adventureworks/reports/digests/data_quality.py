"""Data quality: scores, failing rules, changes since the previous run, and open incidents with their owners."""

from __future__ import annotations

from adventureworks.incidents import open_incidents
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.messaging.incident_messages import rule_in_words
from adventureworks.texts import Language
from adventureworks.texts.terms import dimension_name, incident_status
from adventureworks.warehouse.session import Session

MAX_RULES, MAX_OTHERS = 50, 25
"""Rows shown, the worst first: mail clients truncate mails above about 100 kB."""

_NEWEST = "run_number = (select max(run_number) from marts.data_quality)"
_SCORES = f"""
    select dimension, sum(case when failed = 0 then 1 else 0 end)::numeric / count(*) as score,
        min(case when is_business_rule is not null then overall_score end)
    from marts.data_quality where {_NEWEST} and checked > 0 and severity <> 'info'
    group by dimension order by score, dimension
"""
_FAILING = f"""
    select table_name, rule, failed, checked, change, systematic from marts.data_quality
    where {_NEWEST} and failed > 0 order by pass_rate, failed desc, table_name, rule
"""
_WAITING = """
    select asset, rule, count(*) from ops.quarantined_row where status = 'open' group by asset, rule
    order by count(*) desc, asset, rule
"""


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest of the latest run, or None before the first one."""
    text = language.text
    scores = session.data.execute(_SCORES).fetchall()
    if not scores:
        return None
    failing = session.data.execute(_FAILING).fetchall()
    waiting = session.data.execute(_WAITING).fetchall()
    incidents = open_incidents(session.records)
    as_of = session.data.execute(f"select max(as_of) from marts.data_quality where {_NEWEST}").fetchone()
    worse = [row for row in failing if row[4] is not None and row[4] < 0]
    listings = [
        Listing(
            text("Scores"),
            (text("Dimension"), text("Share of rules that pass")),
            tuple((dimension_name(name, language), language.percent(score, 1)) for name, score, _ in scores),
        ),
        Listing(
            text("Failing rules"),
            (text("Table"), text("Rule"), text("Rows"), text("Of"), text("Change")),
            tuple(
                (
                    table,
                    text("{rule} (systematic)", rule=rule_in_words(rule, language))
                    if systematic
                    else rule_in_words(rule, language),
                    language.number(failed),
                    language.number(checked),
                    language.percent(change, 2, signed=True) if change else "",
                )
                for table, rule, failed, checked, change, systematic in failing
            ),
            text_columns=2,
            max_rows=MAX_RULES,
        ),
    ]
    if incidents:
        rows = tuple(
            (
                one.asset,
                rule_in_words(one.rule, language),
                one.owner,
                incident_status(one.status, language),
                language.moment(one.first_seen),
            )
            for one in incidents
        )
        columns = (text("Table"), text("Rule"), text("Owner"), text("Status"), text("Since"))
        listings.append(Listing(text("Open incidents"), columns, rows, text_columns=5, max_rows=MAX_OTHERS))
    if waiting:
        listings.append(
            Listing(
                text("Rows in quarantine"),
                (text("Table"), text("Rule"), text("Rows")),
                tuple((asset, rule_in_words(rule, language), language.number(count)) for asset, rule, count in waiting),
                text_columns=2,
                max_rows=MAX_OTHERS,
            )
        )
    return Bulletin(
        title=text("Data quality on {day}", day=language.day(as_of[0] if as_of else None)),
        about=text("Results of the checks on all tables, the worst first."),
        figures=(
            Figure(text("Overall score"), language.percent(scores[0][2], 1), text("business rules that pass")),
            Figure(
                text("Failing rules"),
                language.number(len(failing)),
                text("{count} worse than before", count=language.number(len(worse))),
            ),
            Figure(text("Open incidents"), language.number(len(incidents))),
        ),
        listings=tuple(listings),
        page="dashboard/quality",
        link=text("Open freshness and quality"),
    )
