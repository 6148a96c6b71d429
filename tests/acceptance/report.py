"""docs/validation.md: what is validated of each analysis, how, and what came of it the last time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from adventureworks.catalog import ANALYSES, MARTS, marts_of

FILE = Path(__file__).resolve().parents[2] / "docs" / "validation.md"
ASKED = "WRITE_VALIDATION"

PROPERTIES = {
    "daily_sales_etl": "any sequence of changes ends where a full rebuild does; an order that is not whole is withheld",
    "sales_territory_analysis": "a month turns whole with its neighbour; growth follows a change a year later",
    "sales_forecasting": "nothing later than its origin changes a forecast; the chosen model errs least; bands hold the"
    " forecast; a published forecast is scored when its month is over",
    "customer_analytics": "segments are total and disjoint; the published fits of CDNOW come out to the printed digit;"
    " the model is published where it foresees better, and only there",
    "customer_demographics": "XML with a document type, too deep, too long or not well-formed sets its row aside",
    "inventory_management": "a worse state is told once, in one digest; a recovery in one line; a server that was down"
    " gets it later",
    "production_costs": "quantities multiply down every path; a circle in the bill is refused, on both engines",
    "marketing_campaigns": "the interval holds a planted effect as often as it says; nothing to compare gives NULL",
    "data_quality_control": "a planted spike is found and a season is none; a name alone makes no duplicate",
}
"""What tests hold beyond the comparison with a second computation."""


@dataclass(frozen=True)
class Result:
    """One mart, compared."""

    validated: str
    rows: int
    columns: tuple[str, ...]
    among: str


@dataclass
class Report:
    """What came of the comparisons."""

    as_of: date | None = None
    results: dict[str, Result] = field(default_factory=dict)
    figures: list[tuple[str, str, str]] = field(default_factory=list)
    faults: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each mart, how many random faults its gate found, and how many there were."""

    def write_if_asked(self) -> None:
        """Writes the file if every mart was compared and spoilt, and the environment asks for it."""
        if os.environ.get(ASKED) and self.results.keys() == self.faults.keys() == MARTS.keys():
            FILE.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """The file."""
        parts = [_HEAD.format(as_of=self.as_of)]
        for dag, analysis in ANALYSES.items():
            lines = [f"## {analysis.title}: `{dag}`", ""]
            lines += [
                "| mart | validated | rows compared | columns | differences | faults found |",
                "|---|---|---:|---:|---:|---:|",
            ]
            for mart in marts_of(dag):
                result = self.results[mart.name]
                rows = f"{result.rows:,}" + (" (some)" if result.among else "")
                found, tried = self.faults[mart.name]
                lines.append(
                    f"| `{mart.name}` | {result.validated} | {rows} | {len(result.columns)} | 0 | {found} of {tried} |"
                )
            if dag in PROPERTIES:
                lines += ["", f"Also held by tests: {PROPERTIES[dag]}."]
            parts.append("\n".join(lines))
        table = ["## Known figures", "", "| figure | expected | found |", "|---|---:|---:|"]
        table += [f"| {what} | {expected} | {found} |" for what, expected, found in self.figures]
        parts.append("\n".join(table))
        return "\n\n".join(parts) + "\n"


_HEAD = """# Validation

What is validated of each analysis, how, and what came of it the last time. This page is written by the acceptance suite
(`make validation`); it is about the real AdventureWorks data, with the business date {as_of}.

How every mart is validated:

- **A second computation.** A SELECT written from the definition alone, without the model, runs on another engine
  (DuckDB) over the source files: `tests/acceptance/references/`. Every row and every column that it gives is compared.
  Money has to agree exactly; figures that engines round differently to a billionth.
- **Its contract** (`contracts/marts/`): types, ranges, and rules between the columns of a row, for every row of every
  build.
- **Its checks** (`checks/marts/`): key, volume against the last version, freshness, and a reconciliation of every
  column with the mart's inputs, before every publication. A mart without rows passes only if its inputs demand none.
- **Random faults.** Its published rows are spoilt as a wrong join, month or column would spoil them (values swapped,
  rows lost or doubled, a measure scaled, an amount moved, a label, a score or a date wrong, a column emptied or stale):
  the checks and the contract have to find at least 95 % of the faults (`tests/acceptance/faults.py`).
- **Both engines.** Every SELECT of the models also runs as it is rendered for Snowflake, and gives the same rows.

`(some)`: the reference speaks of some of the mart's rows; a statistical model has no second computation, and is held by
the properties named below the table."""
