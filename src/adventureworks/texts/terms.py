"""Localized names for terms that the warehouse stores in English."""

from __future__ import annotations

from adventureworks.texts import Language

UNASSIGNED = "Unassigned"
"""The name that marts give to what belongs to no territory, category or subcategory."""


def campaign_method(code: str, language: Language) -> str:
    """Return how the effect of a special offer was estimated, or why there is no estimate, from its code."""
    text = language.text
    return {
        "difference_in_differences": text("compared with products that were not on offer"),
        "none": text("no offer"),
        "no_sales": text("nothing was sold under it"),
        "no_comparison": text("there is nothing to compare it with"),
    }.get(code, code)


def card_type_name(name: str, language: Language) -> str:
    """Return the name of a type of card, or words for orders without a card."""
    return language.text("No card") if name == "No card" else name


def channel_name(code: str, language: Language) -> str:
    """Return the name of a channel."""
    return {"online": language.text("Online"), "reseller": language.text("Resellers")}[code]


def dimension_name(name: str, language: Language) -> str:
    """Return the name of a data quality dimension."""
    text = language.text
    return {
        "completeness": text("Completeness"),
        "uniqueness": text("Uniqueness"),
        "validity": text("Validity"),
        "consistency": text("Consistency"),
        "referential": text("Referential integrity"),
        "freshness": text("Freshness"),
        "volume": text("Volume"),
    }.get(name, name)


def incident_status(status: str, language: Language) -> str:
    """Return the name of an incident's status."""
    text = language.text
    return {"open": text("open"), "acknowledged": text("acknowledged"), "resolved": text("resolved")}[status]


def intervention_name(kind: str, language: Language) -> str:
    """Return the name of a kind of intervention."""
    text = language.text
    return {
        "backfill": text("computed again"),
        "rollback": text("rolled back"),
        "release": text("released"),
        "approval": text("approved"),
    }[kind]


def name_or_unassigned(name: str, language: Language) -> str:
    """Return the name of a territory, category or subcategory, or words for none."""
    return language.text("Unassigned") if name == UNASSIGNED else name


def reason_withheld(code: str, language: Language) -> str:
    """Return why predictions are not published, from the code of the rule that they broke."""
    text = language.text
    return {
        "nothing_to_compare": text("there are too few months, or too little revenue, to test it"),
        "no_better_than_baseline": text("in the past it was no better than repeating earlier months"),
        "no_better_than_constant": text("in the past it was no better than the mean of all earlier months"),
        "total_is_off": text("in the past its total was less than half, or more than twice, the actual revenue"),
    }.get(code, code)


def effect_withheld(code: str, language: Language) -> str:
    """Return why the effect of an offer is not published, from the code of the rule that its baseline broke."""
    text = language.text
    return {
        "nothing_to_compare": text("there are not enough earlier periods without an offer to test it"),
        "no_better_than_baseline": text("in earlier periods its baseline was no better than the sales just before"),
        "no_better_than_constant": text("in earlier periods its baseline was no better than the mean so far"),
        "total_is_off": text(
            "in earlier periods its baseline was less than half, or more than twice, the actual number of units"
        ),
    }.get(code, code)


def reorder_status(code: str, language: Language) -> str:
    """Return the name of a status of `customer_churn`."""
    text = language.text
    return {
        "lapsed": text("Lapsed"),
        "likely": text("Likely to order again"),
        "open": text("Uncertain"),
        "unlikely": text("Unlikely to order again"),
    }.get(code, code)


def reorder_withheld(code: str, language: Language) -> str:
    """Return why probabilities of another order are not published, from the code of the rule that they broke."""
    text = language.text
    return {
        "nothing_to_compare": text("there is too little data to test it"),
        "no_better_than_baseline": text(
            "tested on the year before, it did no better than assuming that every customer repeats the previous year"
        ),
        "no_better_than_constant": text("in the year before it was no better than one share for all customers"),
        "total_is_off": text(
            "in the year before it predicted less than half, or more than twice, the number of customers who ordered"
        ),
    }.get(code, code)


def segment_name(code: str, language: Language) -> str:
    """Return the name of a segment of customers."""
    text = language.text
    return {
        "champions": text("Champions"),
        "loyal": text("Loyal"),
        "at_risk": text("Used to order often"),
        "new": text("New"),
        "promising": text("Promising"),
        "hibernating": text("Hibernating"),
    }.get(code, code)


def severity_name(code: str, language: Language) -> str:
    """Return the name of the severity of a rule."""
    text = language.text
    return {"error": text("error"), "warning": text("warning"), "info": text("recorded only")}.get(code, code)


def stock_state(code: str, language: Language) -> str:
    """Return the name of a state of `inventory_status`."""
    text = language.text
    return {
        "discontinued": text("No longer sold"),
        "low": text("Below safety stock"),
        "ok": text("Well stocked"),
        "out": text("Out of stock"),
        "reorder": text("To reorder"),
        "unknown": text("Not in stock records"),
    }.get(code, code)


def value_withheld(code: str, language: Language) -> str:
    """Return why margins of customers are not published, from the code of the rule that they broke."""
    text = language.text
    return {
        "nothing_to_compare": text("there is too little data to test it"),
        "no_better_than_baseline": text(
            "in the last 52 weeks it was no better than assuming that all customers do the same as in the year before"
        ),
        "no_better_than_constant": text("in the last 52 weeks it was no better than one margin for all customers"),
        "total_is_off": text(
            "in the last 52 weeks its total was less than half, or more than twice, the actual margin"
        ),
        "no_complete_month": text("no booking month is complete yet"),
    }.get(code, code)


def verdict_name(verdict: str, language: Language) -> str:
    """Return the name of a verdict on a table or mart."""
    text = language.text
    return {
        "passed": text("passed"),
        "passed with warnings": text("passed with warnings"),
        "blocked": text("blocked"),
        "never published": text("never published"),
        "not offered": text("not offered"),
    }.get(verdict, verdict)
