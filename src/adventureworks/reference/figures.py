"""The generated tables of the guide for business users, from the dictionary of columns and the terms of the reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adventureworks import dictionary
from adventureworks.catalog import MARTS
from adventureworks.reference.markdown import table
from adventureworks.reports.definitions import report_terms
from adventureworks.texts import Language


def tables(language: Language) -> str:
    """Return the terms of the monthly report and the columns of every mart, as Markdown."""
    return "\n\n".join(_sections(language))


def _sections(language: Language) -> Iterator[str]:
    text = language.text
    yield "## " + text("Terms of the monthly report")
    yield table((text("Figure"), text("Meaning")), report_terms(language))
    names = _domain_names(language)
    for domain in dict.fromkeys(mart.domain for mart in MARTS.values()):
        yield f"## {names[domain]}"
        for mart in MARTS.values():
            if mart.domain == domain:
                yield f"### {mart.name}"
                yield dictionary.grain(mart, language)
                rows = (
                    (found.label, f"`{found.name}`", found.text, found.unit)
                    for found in dictionary.definitions(mart, language).values()
                )
                yield table((text("Figure"), text("Column"), text("Meaning"), text("Unit")), rows)


def _domain_names(language: Language) -> Mapping[str, str]:
    text = language.text
    return {
        "sales": text("Sales"),
        "customers": text("Customers"),
        "production": text("Production"),
        "finance": text("Finance"),
        "quality": text("Quality and campaigns"),
    }
