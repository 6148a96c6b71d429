"""The mail that brings the report of a month that is over, or says what a restated one changes."""

from __future__ import annotations

from collections.abc import Sequence

from adventureworks.outbox import Enclosure, Letter
from adventureworks.outbox.bulletin import Bulletin, Figure, Listing, letter_of
from adventureworks.reports.delivery import Change, Delivery
from adventureworks.reports.month import Month, first_day
from adventureworks.texts import Language

LARGEST_MAIL_BYTES = 10_000_000


def letter(
    delivery: Delivery, found: Month, language: Language, files: Sequence[Enclosure], ui_url: str = ""
) -> Letter:
    """The report as a letter; files that would make it larger than 10 MB stay where they are, and it says where."""
    fits = sum(len(file.content) for file in files) < LARGEST_MAIL_BYTES
    told = _bulletin(delivery, found, language, fits)
    return letter_of(told, language, ui_url, attachments=files if fits else ())


def summary(deliveries: Sequence[Delivery], language: Language, ui_url: str = "") -> Letter:
    """One letter about many restated months."""
    text = language.text
    rows = []
    for delivery in deliveries:
        totals = {change.measure: change for change in delivery.changes if change.part == "total"}
        rows.append(
            (
                language.month(first_day(delivery.month)),
                *(_moved(totals.get(measure), language) for measure in ("revenue", "profit")),
            )
        )
    columns = (text("Month"), text("Revenue"), text("Gross profit"))
    told = Bulletin(
        title=text("{count} months were restated", count=language.number(len(deliveries))),
        about=text("Their figures changed after they were reported. The new reports are in place of the old ones."),
        figures=(),
        listings=(Listing(text("What changed"), columns, tuple(rows)),),
        page="dashboard/reports",
    )
    return letter_of(told, language, ui_url)


def _bulletin(delivery: Delivery, found: Month, language: Language, attached: bool) -> Bulletin:
    text, total = language.text, found.total
    month = language.month(found.month)
    restated = delivery.status == "restated"
    title = text("{month} was restated", month=month) if restated else text("Report of {month}", month=month)
    about = (
        text("Its figures changed after it was reported. This report is in place of the old one.")
        if restated
        else text("The month is over, and its figures are in.")
    )
    where = text("The workbook and the PDF are attached.") if attached else text("The files are on the dashboard.")
    changed = tuple(
        (change.name or text("Total"), _measure(change, language), _moved(change, language))
        for change in delivery.changes
    )
    return Bulletin(
        title=title,
        about=about,
        figures=(
            Figure(
                text("Revenue"),
                language.short_money(total.now.revenue),
                text("{change} on the year before", change=language.change(total.yearly_growth)),
            ),
            Figure(
                text("Gross profit"),
                language.short_money(total.now.profit),
                text("Margin {share}", share=language.percent(total.now.margin)),
            ),
            Figure(text("Year to date"), language.short_money(total.to_date.revenue)),
        ),
        listings=(
            (Listing(text("What changed"), (text("Name"), text("Figure"), text("From and to")), changed, texts=2),)
            if restated
            else (_regions(found, language),)
        ),
        notes=(where,),
        command=f"adventureworks report {delivery.month} --lang {language.code}",
        page="dashboard/reports",
    )


def _regions(found: Month, language: Language) -> Listing:
    text = language.text
    return Listing(
        text("By region"),
        (text("Territory"), text("Revenue"), text("Gross profit"), text("Change on the year before")),
        tuple(
            (
                line.name,
                language.money(line.now.revenue),
                language.money(line.now.profit),
                language.change(line.yearly_growth),
            )
            for line in found.regions
        ),
    )


def _measure(change: Change, language: Language) -> str:
    return language.text("Revenue") if change.measure == "revenue" else language.text("Gross profit")


def _moved(change: Change | None, language: Language) -> str:
    return "" if change is None else f"{language.money(change.before, 2)} → {language.money(change.after, 2)}"
