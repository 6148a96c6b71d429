"""The headline figures of a month, with what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from adventureworks.dictionary import label
from adventureworks.reports.month import Month, growth
from adventureworks.texts import Language


class Kpi(NamedTuple):
    """A figure of the summary: this month, the month before, the year before, year to date."""

    name: str
    now: Decimal | None
    before: Decimal | None
    change: Decimal | None
    """From the month before: a fraction of an amount, a difference of margins."""
    year_before: Decimal | None
    yearly_change: Decimal | None
    to_date: Decimal | None
    is_share: bool = False


def kpis(found: Month, language: Language) -> Iterator[Kpi]:
    """Yield revenue, gross profit and margin with their comparisons."""
    total = found.total
    periods = (total.now, total.before, total.year_before, total.to_date)
    for name in ("revenue", "profit", "margin"):
        now, before, year_before, to_date = (getattr(amounts, name, None) for amounts in periods)
        change = _difference if name == "margin" else growth
        yield Kpi(
            label(name, language),
            now,
            before,
            change(now, before),
            year_before,
            change(now, year_before),
            to_date,
            is_share=name == "margin",
        )


def _difference(now: Decimal | None, then: Decimal | None) -> Decimal | None:
    return None if now is None or then is None else now - then


class Headline(NamedTuple):
    """A figure for a card or a mail, formatted for display."""

    name: str
    value: str
    notes: tuple[str, ...]


def headlines(found: Month, language: Language) -> Iterator[Headline]:
    """Yield the headline figures with their changes, then the fiscal year to date."""
    text, to_date = language.text, found.total.to_date
    for kpi in kpis(found, language):
        value = language.percent(kpi.now) if kpi.is_share else language.short_money(kpi.now)
        yield Headline(kpi.name, value, tuple(_comparisons(kpi, language)))
    yield Headline(
        text("Year to date"),
        language.short_money(to_date.revenue),
        (
            text("Gross profit {amount}", amount=language.short_money(to_date.profit)),
            text("Margin {share}", share=language.percent(to_date.margin)),
        ),
    )


def change_shown(kpi: Kpi, change: Decimal | None, language: Language) -> str:
    """Return a change of the figure: in points if it is a share, otherwise as a percentage."""
    return language.points(change, signed=True) if kpi.is_share else language.change(change)


def _comparisons(kpi: Kpi, language: Language) -> Iterator[str]:
    text = language.text
    if kpi.change is not None:
        yield text("{change} from the month before", change=change_shown(kpi, kpi.change, language))
    if kpi.yearly_change is not None:
        yield text("{change} from the year before", change=change_shown(kpi, kpi.yearly_change, language))
