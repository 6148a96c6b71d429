"""The generated tables of the guide for business users: `python -m adventureworks.reports.guide` rewrites them.

A page has one generated part, between two comments; the rest is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from adventureworks import dictionary, texts
from adventureworks.catalog import MARTS
from adventureworks.reports.definitions import report_terms
from adventureworks.settings import PROJECT_ROOT
from adventureworks.texts import LANGUAGES, Language

START = "<!-- Generated from the contracts by `make docs`: change contracts/marts or texts/fr/columns.po instead. -->"
END = "<!-- End of the generated part. -->"


def page(code: str) -> Path:
    """Return the file with the definitions of the figures in a language."""
    return PROJECT_ROOT / "docs" / "guide" / code / "figures.md"


def rewritten(text: str, language: Language) -> str:
    """Return the page with its generated part replaced. Raises `ValueError` if it has none."""
    before, _, rest = text.partition(START)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"The page has no generated part, from {START!r} to {END!r}.")
    return f"{before}{START}\n\n{tables(language)}\n\n{END}{after}"


def tables(language: Language) -> str:
    """Return the terms of the monthly report and the columns of every mart, as Markdown."""
    return "\n\n".join(_sections(language))


def _sections(language: Language) -> Iterator[str]:
    text = language.text
    yield "## " + text("Terms of the monthly report")
    yield _table((text("Figure"), text("Meaning")), report_terms(language))
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
                yield _table((text("Figure"), text("Column"), text("Meaning"), text("Unit")), rows)


def _domain_names(language: Language) -> Mapping[str, str]:
    text = language.text
    return {
        "sales": text("Sales"),
        "customers": text("Customers"),
        "production": text("Production"),
        "finance": text("Finance"),
        "quality": text("Quality and campaigns"),
    }


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    for code in LANGUAGES:
        file = page(code)
        file.write_text(rewritten(file.read_text(encoding="utf-8"), texts.language(code)), encoding="utf-8")
