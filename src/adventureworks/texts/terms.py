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
