"""Names of things that the warehouse keeps in English, as people read them."""

from __future__ import annotations

from adventureworks.texts import Language


def dimension_name(name: str, language: Language) -> str:
    """A dimension of data quality."""
    text = language.text
    return {
        "completeness": text("Completeness"),
        "uniqueness": text("Uniqueness"),
        "validity": text("Validity"),
        "consistency": text("Consistency"),
        "referential": text("References"),
        "freshness": text("Freshness"),
        "volume": text("Volume"),
    }.get(name, name)


def verdict_name(verdict: str, language: Language) -> str:
    """What the checks said of a table or mart."""
    text = language.text
    return {
        "passed": text("passed"),
        "passed with warnings": text("passed with warnings"),
        "blocked": text("blocked"),
        "never published": text("never published"),
    }.get(verdict, verdict)
