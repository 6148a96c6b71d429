"""The second computations of the marts: one file per mart, whose first lines say how it is compared.

- `-- Validates:` what is compared, for docs/validation.md.
- `-- Among:` a condition on the mart's rows, if the file covers only some of them.
- `-- Within:` the largest relative difference of figures that engines round differently.
- `-- Fault of RULE:` a statement on the view `candidate` that this rule of the mart's check file must find. The
  published rows are in `before`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import yaml

from adventureworks.catalog import Mart

REFERENCES = Path(__file__).parent / "references"
CHECKS = Path(__file__).resolve().parents[2] / "checks" / "source"
CONTENT = {"completeness", "validity", "consistency"}
"""The dimensions of rules about what the data says."""


@dataclass(frozen=True)
class Reference:
    """The second computation of a mart, and the faults that its rules must find."""

    select: str
    validated: str
    among: str
    within: str
    faults: Mapping[str, str]
    """By rule of the check file."""


def reference_of(mart: Mart) -> Reference:
    """Return the second computation of a mart. Raises `OSError` if there is none."""
    text = (REFERENCES / f"{mart.name}.sql").read_text(encoding="utf-8")
    headers = dict(re.findall(r"^-- (Validates|Among|Within): (.+)$", text, re.MULTILINE))
    return Reference(
        select=text.replace("$as_of", "getvariable('as_of')"),
        validated=headers["Validates"],
        among=headers.get("Among", ""),
        within=headers.get("Within", "1e-9"),
        faults=dict(re.findall(r"^-- Fault of (\w+): (.+)$", text, re.MULTILINE)),
    )


def business_rules() -> pl.DataFrame:
    """Return the rules of the source tables' check files that count in the overall score of `data_quality`."""
    rules = [
        (path.stem, body["name"])
        for path in sorted(CHECKS.glob("*.yml"))
        for items in yaml.safe_load(path.read_text(encoding="utf-8")).values()
        for item in items
        for body in item.values()
        if body.get("attributes", {}).get("dimension") in CONTENT
    ]
    return pl.DataFrame(rules, schema=["table_name", "rule"], orient="row")
