"""Policies for the check files: they are complete, all are used, and they need only what the gate provides."""

import re
from pathlib import Path

import pytest

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, SourceTable
from adventureworks.columns import columns_of, key_of
from adventureworks.errors import PlatformError
from adventureworks.gate.check_files import DeclaredCheck, check_file, declared_checks, references, variables_of
from adventureworks.settings import PROJECT_ROOT

SOURCE, MART = PROJECT_ROOT / "checks" / "source", PROJECT_ROOT / "checks" / "marts"
DIMENSIONS = {"completeness", "uniqueness", "validity", "consistency", "referential", "freshness", "volume"}
CLOCK = re.compile(
    r"\b(now|current_date|current_timestamp|localtime\w*|getdate|sysdate|\w*_timestamp)\b", re.IGNORECASE
)

ENTRIES = [*((SOURCE, table) for table in SOURCE_TABLES.values()), *((MART, mart) for mart in MARTS.values())]
entries = pytest.mark.parametrize(("folder", "entry"), ENTRIES, ids=lambda value: getattr(value, "asset", ""))


def by_kind(folder: Path, entry: SourceTable | Mart) -> dict[str, list[DeclaredCheck]]:
    found: dict[str, list[DeclaredCheck]] = {}
    for check in declared_checks(folder, entry.asset):
        found.setdefault(check.kind, []).append(check)
    return found


@entries
def test_every_table_is_checked_for_volume_freshness_and_its_key(folder: Path, entry: SourceTable | Mart) -> None:
    kinds = by_kind(folder, entry)
    key, *_ = kinds["uniqueness"]
    (freshness,) = kinds["freshness"]
    assert "keeps_most_of_its_rows" in {check.rule for check in kinds["volume"]}
    assert (key.rule, key.columns) == ("key_is_unique", key_of(entry))
    assert freshness.columns == (entry.modified if isinstance(entry, SourceTable) else entry.dated,)


@entries
def test_checks_refer_to_columns_of_the_contracts(folder: Path, entry: SourceTable | Mart) -> None:
    columns = {column.name for column in columns_of(entry)}
    for check in declared_checks(folder, entry.asset):
        assert set(check.columns) <= columns, check.rule
    for reference in references(folder, entry.asset):
        parent = {column.name for column in columns_of(SOURCE_TABLES[reference.parent])}
        assert set(reference.parent_columns) <= parent, reference.rule


@entries
def test_checks_have_readable_names_and_meanings(folder: Path, entry: SourceTable | Mart) -> None:
    for check in declared_checks(folder, entry.asset):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", check.rule)
        assert check.dimension in DIMENSIONS
        assert check.meaning or check.kind != "rows", f"{check.rule} has no meaning"


@entries
def test_checks_use_only_variables_that_the_gate_provides(folder: Path, entry: SourceTable | Mart) -> None:
    text = check_file(folder, entry.asset).read_text()
    known = {f"least_rows_{entry.asset}", f"stale_before_{entry.asset}", "as_of"}
    known |= {"declared_rules"} if isinstance(entry, Mart) and entry.tolerant else set()
    assert variables_of(text) <= known
    assert text.count("${") == len(re.findall(r"\$\{\w+\}", text))
    assert not CLOCK.search(text), "a check reads the clock"


def test_every_check_file_belongs_to_a_table_or_mart() -> None:
    assert {path.name for path in SOURCE.iterdir()} == {f"{name}.yml" for name in SOURCE_TABLES}
    assert {path.name for path in MART.iterdir()} == {f"{name}.yml" for name in MARTS}


def test_a_reference_of_two_columns_is_parsed() -> None:
    by_rule = {reference.rule: reference for reference in references(SOURCE, "Sales_SalesOrderDetail")}
    offer = by_rule["special_offer_product_exists"]
    assert offer.columns == offer.parent_columns == ("SpecialOfferID", "ProductID")
    assert offer.parent == "Sales_SpecialOfferProduct"


@pytest.mark.parametrize(
    "text",
    [
        "checks for T: [",
        "checks for Other:\n  - row_count > 0:\n      name: is_not_empty\n",
        "checks for T:\n  - row_count > 0:\n      name: a_b\n  - row_count > 1:\n      name: a_b\n",
        "checks for T:\n  - row_count > 0\n",
        "checks for T:\n  - freshness(x) < 1d:\n      name: is_fresh\n",
        "",
    ],
    ids=["invalid YAML", "another table", "duplicate name", "no name", "unknown kind", "empty"],
)
def test_an_invalid_file_is_rejected(tmp_path: Path, text: str) -> None:
    (tmp_path / "T.yml").write_text(text)
    with pytest.raises(PlatformError, match=r"T\.yml"):
        declared_checks(tmp_path, "T")


@pytest.mark.parametrize("attributes", ["{by_month: true, echoes: [3]}", "{echoes: [-1]}"])
def test_a_rule_echoes_in_no_other_months_than_its_mart(tmp_path: Path, attributes: str) -> None:
    rule = f"- failed rows: {{name: a_rule, attributes: {attributes}, fail query: select month from territory_sales}}"
    check_file(tmp_path, "territory_sales").write_text(f"checks for territory_sales:\n  {rule}\n", encoding="utf-8")
    with pytest.raises(PlatformError, match="a_rule has echoes that territory_sales does not have"):
        declared_checks(tmp_path, "territory_sales")
