"""What the figures of a month's report mean, in the words of the reports."""

from __future__ import annotations

from adventureworks.reports.month import Month
from adventureworks.texts import Language


def definitions(language: Language) -> list[tuple[str, str]]:
    """Each figure, and what it means."""
    text = language.text
    return [
        (text("Revenue"), text("What was sold, after discounts, without tax and freight, in US dollars.")),
        (text("Discount"), text("What the discounts on the lines of the orders amount to.")),
        (
            text("Cost of goods"),
            text("Quantity sold times the standard cost that was valid on the day of the order."),
        ),
        (
            text("Gross profit"),
            text("Revenue less cost of goods. The source holds no operating expenses, and none are invented."),
        ),
        (text("Margin"), text("Gross profit divided by revenue.")),
        (
            text("Estimated"),
            text("Revenue whose cost is the product's present one, since none was valid on the day of the order."),
        ),
        (
            text("Change on the month before"),
            text("Revenue against the month before. Empty where there is none, or where one of both is partial."),
        ),
        (
            text("Change on the year before"),
            text("Revenue against the same month a year before. Empty as above."),
        ),
        (
            text("Year to date"),
            text("From 1 July, the start of the fiscal year, to the end of the month."),
        ),
        (
            text("Partial month"),
            text("A month whose orders are not all there yet. It is kept out of comparisons."),
        ),
        (
            text("Left out"),
            text("Orders that were rejected or cancelled, and orders that the gate holds back."),
        ),
    ]


def notes(found: Month, language: Language) -> list[str]:
    """What a reader of this month has to know before he trusts a figure."""
    text = language.text
    said = []
    if found.is_partial:
        said.append(text("This month is partial: not all of its orders are there. It is compared with no other month."))
    if found.total.now.estimated:
        share = found.total.now.estimated / found.total.now.revenue if found.total.now.revenue else None
        said.append(
            text(
                "The cost of {amount} of revenue ({share}) is estimated.",
                amount=language.money(found.total.now.estimated, 2),
                share=language.percent(share),
            )
        )
    if found.control_total is None:
        said.append(text("Newer orders came in since these figures were computed. A new report follows."))
    else:
        said.append(
            text(
                "Control: the headers of the orders add up to {control}, the report to {total}.",
                control=language.money(found.control_total, 2),
                total=language.money(found.total.now.revenue, 2),
            )
        )
    return said
