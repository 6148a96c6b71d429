"""Localized names for terms that the warehouse stores in English."""

from __future__ import annotations

from adventureworks.texts import Language


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
