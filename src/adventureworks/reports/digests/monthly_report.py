"""The mails that deliver the report of a completed month, or announce restated and withdrawn reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adventureworks.dictionary import label
from adventureworks.messaging import Attachment, RenderedMessage
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing, render
from adventureworks.months import first_day
from adventureworks.reports.delivery import KINDS, Change, Delivery
from adventureworks.reports.headlines import headlines
from adventureworks.reports.month import Month
from adventureworks.reports.story import story
from adventureworks.texts import Language

MAX_MAIL_BYTES = 10_000_000
"""Limit for all attachments together, in their encoded size."""
MAX_NAMED = 3
"""More months than this are given as a range."""
PAGE = "dashboard/reports"


@dataclass(frozen=True)
class ReportFiles:
    """The files of a month in one language, with their locations."""

    language: str
    files: tuple[Attachment, ...]
    places: tuple[str, ...]


def message(
    delivery: Delivery,
    found: Month,
    language: Language,
    filed: ReportFiles,
    ui_url: str = "",
    refreshed: Sequence[str] = (),
) -> RenderedMessage:
    """Render the mail for a report. Files that would exceed 10 MB are not attached; the mail gives their location.

    `refreshed` are months that were filed again only because they are compared with this one.
    """
    fits = sum(_size_in_mail(file.content) for file in filed.files) < MAX_MAIL_BYTES
    incomplete = [
        language.text("A file of this report could not be created yet; it will be filed as soon as possible.")
    ]
    notes = [
        *story(found, language),
        _where(filed, language, fits, ui_url),
        *(incomplete if len(filed.files) < len(KINDS) else []),
        *_refreshed(refreshed, language),
    ]
    bulletin = _bulletin(delivery, found, language, notes)
    return render(replace(bulletin, attachments=filed.files if fits else ()), language, ui_url)


def withdrawal(
    delivery: Delivery, language: Language, ui_url: str = "", refreshed: Sequence[str] = ()
) -> RenderedMessage:
    """Render the mail for a month none of whose orders counts any more."""
    text = language.text
    bulletin = Bulletin(
        title=text("The report for {month} was withdrawn", month=language.month(first_day(delivery.month))),
        about=text("None of its orders count any more: they were cancelled, deleted or moved to another month."),
        figures=(),
        listings=(_changed(delivery, language),),
        notes=tuple(_refreshed(refreshed, language)),
        page=PAGE,
        link=text("Open the reports"),
    )
    return render(bulletin, language, ui_url)


def summary(
    deliveries: Sequence[Delivery], language: Language, ui_url: str = "", refreshed: Sequence[str] = ()
) -> RenderedMessage:
    """Render one mail for several months that were restated or withdrawn."""
    text = language.text
    rows = []
    for delivery in deliveries:
        totals = {change.measure: change for change in delivery.changes if change.part == "total"}
        month = language.month(first_day(delivery.month))
        rows.append(
            (
                text("{month} (withdrawn)", month=month) if delivery.status == "withdrawn" else month,
                *(_moved(totals.get(measure), language) for measure in ("revenue", "profit")),
            )
        )
    columns = (label("month", language), label("revenue", language), label("profit", language))
    bulletin = Bulletin(
        title=text("{count} months were restated", count=language.number(len(deliveries))),
        about=text("Their figures changed after they were reported. The new reports replace the old ones."),
        figures=(),
        listings=(Listing(text("What changed"), columns, tuple(rows)),),
        notes=tuple(_refreshed(refreshed, language)),
        page=PAGE,
        link=text("Open the reports"),
    )
    return render(bulletin, language, ui_url)


def _bulletin(delivery: Delivery, found: Month, language: Language, notes: Sequence[str]) -> Bulletin:
    text = language.text
    month = language.month(found.month)
    restated = delivery.status == "restated"
    title = text("{month} was restated", month=month) if restated else text("Report for {month}", month=month)
    about = (
        text("Its figures changed after it was reported. This report replaces the old one.")
        if restated
        else text("The month is over and its figures are complete.")
    )
    return Bulletin(
        title=title,
        about=about,
        figures=tuple(
            Figure(one.name, one.value, language.text("; ").join(one.notes)) for one in headlines(found, language)
        ),
        listings=(_changed(delivery, language) if restated else _regions(found, language),),
        notes=tuple(notes),
        page=f"{PAGE}#{delivery.month}",
        link=text("Open the report"),
    )


def _where(filed: ReportFiles, language: Language, attached: bool, ui_url: str) -> str:
    """Return where the files are: attached, on the dashboard, or in a folder if the UI's address is unknown."""
    text = language.text
    if attached and filed.language == language.code:
        return text("The workbook and the PDF are attached.")
    if attached:
        return text(
            "The workbook and the PDF are attached in {language}: reports are not available in your language.",
            language=language.language_name(filed.language),
        )
    if ui_url:
        return text("The files are too large to attach. They are on the dashboard.")
    return text("The files are too large to attach. They are here: {places}", places=", ".join(filed.places))


def _size_in_mail(content: bytes) -> int:
    """Return the size in Base64: four bytes for every three, with a line break after every 76."""
    encoded = (len(content) + 2) // 3 * 4
    return encoded + encoded // 76 * 2


def _refreshed(months: Sequence[str], language: Language) -> list[str]:
    """Return a note about months that were filed again although their own figures are unchanged."""
    if not months:
        return []
    text, names = language.text, [language.month(first_day(month)) for month in months]
    if len(names) > MAX_NAMED:
        shown = text(
            "{count} months from {first} to {last}",
            count=language.number(len(names)),
            first=names[0],
            last=names[-1],
        )
    else:
        shown = ", ".join(names)
    return [
        text("Also filed again, because their comparisons changed (their own figures did not): {months}.", months=shown)
    ]


def _changed(delivery: Delivery, language: Language) -> Listing:
    text = language.text
    rows = tuple(
        (change.name or text("Total"), _measure(change, language), _moved(change, language))
        for change in delivery.changes
    ) or ((text("Only within regions and categories: products, discounts or costs"), "", ""),)
    return Listing(text("What changed"), (text("Name"), text("Figure"), text("Before and after")), rows, text_columns=2)


def _regions(found: Month, language: Language) -> Listing:
    text = language.text
    return Listing(
        text("By region"),
        (
            label("territory", language),
            label("revenue", language),
            label("profit", language),
            text("Change from the year before"),
        ),
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
    return label("revenue", language) if change.measure == "revenue" else label("profit", language)


def _moved(change: Change | None, language: Language) -> str:
    return "" if change is None else f"{language.money(change.before, 2)} → {language.money(change.after, 2)}"
