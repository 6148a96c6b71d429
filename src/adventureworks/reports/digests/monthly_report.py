"""The mail that brings the report of a month that is over, or says what a restated or withdrawn one changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adventureworks.messaging import Attachment, RenderedMessage
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing, render
from adventureworks.reports.delivery import KINDS, Change, Delivery
from adventureworks.reports.month import Month, first_day
from adventureworks.texts import Language

LARGEST_MAIL_BYTES = 10_000_000
"""Of all attachments together, as a mail carries them."""
MOST_NAMED = 3
"""More months than this are told as from and to."""
PAGE = "dashboard/reports"
WHERE_ORDERS_WENT = "adventureworks status fact_sales"


@dataclass(frozen=True)
class Filed:
    """The files of a month in one language, and where each is kept."""

    language: str
    files: tuple[Attachment, ...]
    places: tuple[str, ...]


def message(
    delivery: Delivery,
    found: Month,
    language: Language,
    filed: Filed,
    ui_url: str = "",
    refreshed: Sequence[str] = (),
) -> RenderedMessage:
    """The report as a letter; files that would make it larger than 10 MB stay where they are, and it says where.

    `refreshed` are months that were filed anew only because they are compared with this one.
    """
    fits = sum(_size_in_mail(file.content) for file in filed.files) < LARGEST_MAIL_BYTES
    lacks = [language.text("A file of this report could not be made yet; it is filed as soon as it can be.")]
    notes = [
        _where(filed, language, fits, ui_url),
        *(lacks if len(filed.files) < len(KINDS) else []),
        *_refreshed(refreshed, language),
    ]
    told = _bulletin(delivery, found, language, notes)
    return render(told, language, ui_url, attachments=filed.files if fits else ())


def withdrawal(
    delivery: Delivery, language: Language, ui_url: str = "", refreshed: Sequence[str] = ()
) -> RenderedMessage:
    """The letter about a month of which nothing counts any more."""
    text = language.text
    told = Bulletin(
        title=text("The report of {month} was withdrawn", month=language.month(first_day(delivery.month))),
        about=text("None of its orders counts any more: they were cancelled, deleted or moved to another month."),
        figures=(),
        listings=(_changed(delivery, language),),
        notes=tuple(_refreshed(refreshed, language)),
        command=WHERE_ORDERS_WENT,
        page=PAGE,
    )
    return render(told, language, ui_url)


def summary(
    deliveries: Sequence[Delivery], language: Language, ui_url: str = "", refreshed: Sequence[str] = ()
) -> RenderedMessage:
    """One letter about many months that were restated or withdrawn."""
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
    columns = (text("Month"), text("Revenue"), text("Gross profit"))
    kept = [delivery.month for delivery in deliveries if delivery.status != "withdrawn"]
    told = Bulletin(
        title=text("{count} months were restated", count=language.number(len(deliveries))),
        about=text("Their figures changed after they were reported. The new reports are in place of the old ones."),
        figures=(),
        listings=(Listing(text("What changed"), columns, tuple(rows)),),
        notes=tuple(_refreshed(refreshed, language)),
        command=_report_of(kept[-1], language) if kept else WHERE_ORDERS_WENT,
        page=PAGE,
    )
    return render(told, language, ui_url)


def _bulletin(delivery: Delivery, found: Month, language: Language, notes: Sequence[str]) -> Bulletin:
    text, total = language.text, found.total
    month = language.month(found.month)
    restated = delivery.status == "restated"
    title = text("{month} was restated", month=month) if restated else text("Report of {month}", month=month)
    about = (
        text("Its figures changed after it was reported. This report is in place of the old one.")
        if restated
        else text("The month is over, and its figures are in.")
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
        listings=(_changed(delivery, language) if restated else _regions(found, language),),
        notes=tuple(notes),
        command=_report_of(delivery.month, language),
        page=PAGE,
    )


def _where(filed: Filed, language: Language, attached: bool, ui_url: str) -> str:
    """Where the files are: with the mail, on the dashboard, or, where no link can be given, in a folder."""
    text = language.text
    if attached and filed.language == language.code:
        return text("The workbook and the PDF are attached.")
    if attached:
        return text(
            "The workbook and the PDF are attached in {language}: reports are not made in your language.",
            language=language.name_of(filed.language),
        )
    if ui_url:
        return text("The files are too large for a mail. They are on the dashboard.")
    return text("The files are too large for a mail. They are here: {places}", places=", ".join(filed.places))


def _size_in_mail(content: bytes) -> int:
    """Base64 makes four bytes of three, in lines of 76 and a line break."""
    encoded = (len(content) + 2) // 3 * 4
    return encoded + encoded // 76 * 2


def _refreshed(months: Sequence[str], language: Language) -> list[str]:
    """The line about months whose own figures are the same."""
    if not months:
        return []
    text, names = language.text, [language.month(first_day(month)) for month in months]
    if len(names) > MOST_NAMED:
        told = text("{count} from {first} to {last}", count=language.number(len(names)), first=names[0], last=names[-1])
    else:
        told = ", ".join(names)
    return [
        text("Filed anew with figures of their own unchanged, since they are compared with it: {months}.", months=told)
    ]


def _changed(delivery: Delivery, language: Language) -> Listing:
    text = language.text
    rows = tuple(
        (change.name or text("Total"), _measure(change, language), _moved(change, language))
        for change in delivery.changes
    ) or ((text("Only within regions and categories: products, discounts or costs"), "", ""),)
    return Listing(text("What changed"), (text("Name"), text("Figure"), text("From and to")), rows, texts=2)


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


def _report_of(month: str, language: Language) -> str:
    return f"adventureworks report {month} --lang {language.code}"
