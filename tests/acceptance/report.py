"""Generate docs/validation.md: what is validated for each analysis, how, and the latest results."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from adventureworks.catalog import ANALYSES, MARTS, marts_of

FILE = Path(__file__).resolve().parents[2] / "docs" / "validation.md"
ASKED = "WRITE_VALIDATION"
LOSSES = {
    "noticed": "any",
    "by missing numbers": "numbers_are_consecutive",
    "by movements without a line": "movement_has_its_line",
    "by lines without a movement": "line_has_its_movement",
    "by the orders of a month": "months_have_their_orders",
}
"""By column of the table of losses: the rule that notices them."""

PROPERTIES = {
    "daily_sales_etl": "any sequence of changes ends in the same state as a full rebuild; incomplete orders are"
    " withheld",
    "sales_territory_analysis": "a month becomes complete because of later orders; growth reflects a change a year"
    " later; an order that moves to another month changes one booking month and one calendar month",
    "sales_forecasting": "no data after its origin changes a forecast, a choice or an interval; the bands contain the"
    " forecast and cover what they state; a model that is worse than a constant, or absurd in total, is withheld, in"
    " all territories or in one; smoothing and Theta agree with statsmodels; a published forecast is scored when its"
    " month is over",
    "customer_retention": "bands and cycles; orders on the first and last day of the 52 weeks; shares that are worse"
    " than a constant or a repetition of the past, or absurd in total, are withheld",
    "customer_analytics": "segments are complete and disjoint; the published CDNOW fits are reproduced to the printed"
    " digit; no method sees what comes after its date; expectations that are worse than a constant or a repetition of"
    " the past, or absurd in total, are withheld",
    "customer_demographics": "rows whose XML has a document type, or is too deep, too long or not well-formed, are set"
    " aside; no cell with fewer than five customers is a sum or difference of published cells and the territory's"
    " total",
    "inventory_management": "a worse state is reported once, in one digest, and a recovery in one line; a first version"
    " causes no notice; a mail server that was down gets the message later; the workbook has every proposal",
    "production_costs": "quantities multiply down every path; a cycle in the bill is rejected, on both engines",
    "marketing_campaigns": "the interval contains a planted effect as often as it states, and of 200 random events"
    " without an offer per channel about 5 % seem to have an effect on units, and on profit; a baseline that was worse"
    " than a repetition or a constant in earlier periods, or absurd in total, is refused; without a comparison the"
    " result is NULL",
    "data_quality_control": "only business rules count in the overall score; a planted spike is found, and seasonality"
    " is not reported as one; equal names alone do not make a duplicate; the loss of half of a month's sales is"
    " noticed",
}
"""By analysis: what is tested beyond the comparison with a second computation."""


@dataclass(frozen=True)
class Result:
    """The comparison of one mart."""

    validated: str
    rows: int
    columns: tuple[str, ...]
    among: str


@dataclass
class Report:
    """The results of the comparisons."""

    as_of: date | None = None
    results: dict[str, Result] = field(default_factory=dict)
    figures: list[tuple[str, str, str]] = field(default_factory=list)
    changes: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Figures that a changed definition moved: name, value before, value now, query."""
    losses: list[tuple[str, int, dict[str, int]]] = field(default_factory=list)
    """Ways to lose half of a month's sales: name, months, and by rule, and for any of them, those that were noticed."""
    faults: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By mart: the number of random faults that its gate found, and the number of faults tried."""

    def write_if_asked(self) -> None:
        """Write the file if every mart was compared and fault-tested, and the environment asks for it."""
        if os.environ.get(ASKED) and self.results.keys() == self.faults.keys() == MARTS.keys():
            FILE.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """Return the content of the file."""
        parts = [_HEAD.format(as_of=self.as_of)]
        for dag in ANALYSES:
            lines = [f"## `{dag}`", ""]
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
                lines += ["", f"Also tested: {PROPERTIES[dag]}."]
            parts.append("\n".join(lines))
        table = ["## Known figures", "", "| figure | expected | found |", "|---|---:|---:|"]
        table += [f"| {what} | {expected} | {found} |" for what, expected, found in self.figures]
        parts.append("\n".join(table))
        table = [_LOSSES, "", f"| lost | months | {' | '.join(LOSSES)} |", f"|---|---:|{'---:|' * len(LOSSES)}"]
        table += [
            f"| {name} | {months} | {' | '.join(str(noticed[rule]) for rule in LOSSES.values())} |"
            for name, months, noticed in self.losses
        ]
        parts.append("\n".join(table))
        table = [_CHANGES, "", "| figure | before | now | query |", "|---|---:|---:|---|"]
        table += [f"| {what} | {before} | {now} | `{query}` |" for what, before, now, query in self.changes]
        parts.append("\n".join(table))
        parts.append(_MEASURED_ONCE)
        return "\n\n".join(parts) + "\n"


_HEAD = """# Validation

This page describes what is validated for each analysis and how, and shows the latest results. The acceptance suite
generates it (`make validation`). It uses the real AdventureWorks data, with the business date {as_of}.

Every mart is validated in these ways:

- **Independent recomputation.** A SELECT written from the definition alone, without the model, runs on another engine
  (DuckDB) over the source files: `tests/acceptance/references/`. For the forecasts it reads the results of a second
  backtest in plain Python (`tests/acceptance/forecasts.py`). Every row and every column that it returns is compared.
  Money must agree exactly; figures that engines round differently must agree to one part in a billion.
- **Contract** (`contracts/marts/`): types, ranges, and rules between the columns of a row, for every row of every
  build.
- **Checks** (`checks/marts/`): key, volume compared with the last version, freshness, and a reconciliation of every
  column with the mart's inputs, before every publication. An empty mart passes only if its inputs imply no rows.
- **Random faults.** The published rows are damaged as a wrong join, month or column would damage them (values swapped,
  rows lost or duplicated, a measure scaled, an amount moved, a label, a score or a date wrong, a column emptied or
  stale). The checks and the contract must find at least 95 % of the faults (`tests/acceptance/faults.py`).
- **Both engines.** Every SELECT of the models also runs in its Snowflake version, and returns the same rows.

`(some)`: the reference covers only some of the mart's rows. Other statistical models have no second computation; they
are tested by the properties listed below the table."""

_LOSSES = """## Lost rows

Of the real data, one booking month at a time loses half of its sales, and the rules of `data_quality` are computed
again (`tests/acceptance/losses.py`). The whole data breaks none of these rules. Before, only the rule on monthly
volumes could notice such a loss, in 5 of 36 months. If the newest orders are lost, no number is missing after them; and
the first orders have no number before them. If a source numbers all remaining rows again and loses the movements, too,
only the column on the orders of a month remains."""

_CHANGES = """## Changed definitions

Some definitions were correct as written, but misleading on this data, and were changed. `adventureworks sql "QUERY"`
prints the figure of the present definition."""


_MEASURED_ONCE = """Resellers by calendar month (before) and by booking month (after), USD:

| month | before | after |
|---|---:|---:|
| 2014-01 | 2,738,752.39 | 2,738,752.39 |
| 2014-02 | 3,230.65 | 2,207,772.49 |
| 2014-03 | 5,526,352.18 | 3,321,810.33 |
| 2014-04 | 1,284.79 | 3,416,763.86 |
| 2014-05 | 3,415,479.07 | none, partial |
| all months | 80,487,704.18 | 80,487,704.18 |
| last complete month | 2014-05 | 2014-04 |

Command: `select month, sum(calendar_revenue), sum(revenue), bool_or(is_partial) from marts.territory_sales
where channel = 'reseller' group by month order by month`.

Forecasts: the error of the choice of a model (nested WAPE), over the series that go back to the channel's first month,
from 23 known months on. Before: by calendar month, a choice per series. After: by booking month, a choice per channel.

| channel | months | choice | series | nested WAPE |
|---|---|---|---:|---:|
| online | calendar month | per series, without mean_3_season | 7 | 0.230 |
| online | booking month | per series, without mean_3_season | 7 | 0.230 |
| online | booking month | per channel | 7 | 0.229 |
| reseller | calendar month | per series, without mean_3_season | 6 | 0.463 |
| reseller | booking month | per series, without mean_3_season | 6 | 0.260 |
| reseller | booking month | per channel | 6 | 0.207 |
| reseller | booking month | always mean_3_season | 6 | 0.194 |

Command: `.venv/bin/python bench/forecast_error.py FOLDER`. Over all series and from the ninth origin on, as in
`forecast_accuracy`: online 0.222 (a constant: 0.518), with the naive model; resellers 0.284 (naive models 0.359, a
constant 0.324), with `mean_3_season`. The 80 % intervals of these models covered 0.81 and 0.82 of the actual
revenues, the 95 % intervals 0.94 and 0.96.

Probabilities of another order within 52 weeks: the test that decides whether they are published, on the year to
the last complete month, with shares learned a year earlier. Before: a label without a test; of the online customers
whom it called lost at the end of May 2013, 89 % ordered again, of the others 90 %.

| channel | customers | mean squared error | same as the year before | one share for all | predicted ÷ actual |
|---|---:|---:|---:|---:|---:|
| online | 5,305 | 0.902 | 0.396 | 0.900 | 0.001 |
| reseller | 428 | 0.280 | 0.217 | 0.223 | 1.099 |

Command: `select distinct channel, tested_customers, error_model, error_baseline, error_constant,
predicted_over_actual from marts.customer_churn`. Both are withheld."""
"""Figures before and after a change of definitions that the tests do not compute again."""
