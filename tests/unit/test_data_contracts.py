"""Contracts as documents: which changes break whom, the version that they need, and the export to the open standard."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import SecretStr

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.cli import contract as command
from adventureworks.cli import revision
from adventureworks.data_contracts import odcs
from adventureworks.data_contracts.description import ADAPTER, Column, Contract, Contracts, Rule, describe
from adventureworks.data_contracts.difference import EFFECTS, Changed, compare
from adventureworks.lineage.readers import readers_of
from adventureworks.settings import PROJECT_ROOT, Settings

SCHEMA = Path(__file__).parent / "odcs" / "odcs-json-schema-v3.1.0.json"
CURRENT = describe()

AMOUNT = Column(
    type="decimal(19, 4)",
    nullable=False,
    unique=False,
    unit="USD",
    meaning="Revenue",
    delivered=True,
    rules={
        "minimum": Rule("minimum", "at least 0", ("0",)),
        "values": Rule("values", "one of A, B", ("A", "B")),
        "longest": Rule("longest", "at most 10 characters", ("10",)),
        "is_not_blank": Rule("other", "is not blank"),
    },
)
MART = Contract(
    kind="mart",
    version="1.4",
    meaning="One row per day.",
    key=("day",),
    columns={"amount": AMOUNT},
    rules={"adds_up": Rule("other", "amount = 1.", ("return amount == 1",))},
)


def changed(new: Contract | None, old: Contract | None = MART, retired: Mapping[str, str] | None = None) -> Changed:
    def contracts(one: Contract | None) -> Contracts:
        return Contracts({"sales": one} if one else {}, retired or {})

    [found] = compare(contracts(old), contracts(new))
    return found


def amount(**changes: Any) -> Contract:
    return replace(MART, columns={"amount": replace(AMOUNT, **changes)})


def ruled(name: str, rule: Rule | None) -> Contract:
    rules = {**AMOUNT.rules, **({name: rule} if rule else {})}
    return amount(rules=rules if rule else {other: rules[other] for other in rules if other != name})


@pytest.mark.parametrize(
    ("new", "change", "breaks_mart", "breaks_source"),
    [
        (replace(MART, columns={}), "column removed", True, True),
        (replace(MART, columns={"revenue": AMOUNT}), "column renamed", True, True),
        (replace(MART, columns={"amount": AMOUNT, "b": replace(AMOUNT, unit="")}), "column added", False, True),
        (
            replace(MART, columns={"amount": AMOUNT, "b": replace(AMOUNT, delivered=False)}),
            "optional column added",
            False,
            False,
        ),
        (amount(type="decimal(38, 6)"), "type widened", False, False),
        (amount(type="decimal(17, 2)"), "type narrowed", True, True),
        (amount(type="decimal(19, 6)"), "type changed", True, True),
        (amount(type="string"), "type changed", True, True),
        (amount(nullable=True), "may be empty", True, True),
        (amount(delivered=False), "need not be delivered", False, False),
        (amount(unit="pieces"), "unit changed", True, True),
        (amount(unique=True), "rule tightened", False, True),
        (amount(meaning="Revenue after discounts"), "meaning changed", False, False),
        (replace(MART, key=("day", "channel")), "key changed", True, True),
        (replace(MART, rules={}), "rule loosened", True, True),
        (replace(MART, rules={"adds_up": Rule("other", "amount = 1.", ("return True",))}), "rule changed", True, True),
        (ruled("minimum", None), "rule loosened", True, True),
        (ruled("minimum", Rule("minimum", "more than 0", ("0",), excludes_bound=True)), "rule tightened", False, True),
        (ruled("minimum", Rule("minimum", "at least -1", ("-1",))), "rule loosened", True, True),
        (ruled("maximum", Rule("maximum", "at most 9", ("9",))), "rule tightened", False, True),
        (ruled("values", Rule("values", "one of A, B, C", ("A", "B", "C"))), "rule loosened", True, True),
        (ruled("values", Rule("values", "one of A", ("A",))), "rule tightened", False, True),
        (ruled("values", Rule("values", "one of A, C", ("A", "C"))), "rule changed", True, True),
        (ruled("longest", Rule("longest", "at most 20 characters", ("20",))), "rule loosened", True, True),
        (ruled("longest", Rule("longest", "at most 9 characters", ("9",))), "rule tightened", False, True),
    ],
)
def test_change_breaks_the_readers_of_a_mart_and_both_sides_of_a_source_table(
    new: Contract, change: str, breaks_mart: bool, breaks_source: bool
) -> None:
    found = changed(new)
    assert [one.change for one in found.differences] == [change]
    assert found.breaking is breaks_mart
    assert found.needs == ("2.0" if breaks_mart else "1.5")
    assert changed(replace(new, kind="source"), replace(MART, kind="source")).breaking is breaks_source


def test_the_opposite_of_a_change_has_the_opposite_effect() -> None:
    assert [one.change for one in changed(MART, amount(nullable=True)).differences] == ["must be filled"]
    assert not changed(MART, amount(nullable=True)).breaking
    assert changed(replace(MART, kind="source"), replace(amount(delivered=False), kind="source")).breaking


@pytest.mark.parametrize(
    ("new", "version", "needs"),
    [
        (amount(nullable=True), "2.0", ""),
        (amount(nullable=True), "1.5", "2.0"),
        (amount(meaning="x"), "1.5", ""),
        (amount(meaning="x"), "2.0", ""),
        (amount(meaning="x"), "1.4", "1.5"),
        (amount(meaning="x"), "1.3", "1.5"),
        (MART, "1.3", "1.4"),
        (MART, "1.10", ""),
    ],
)
def test_changed_contract_needs_a_version_that_fits_the_change(new: Contract, version: str, needs: str) -> None:
    assert changed(replace(new, version=version)).needs == needs


def test_first_version_of_a_contract_is_free() -> None:
    assert changed(amount(nullable=True), replace(MART, version="")).needs == ""
    assert changed(MART, None).needs == ""


def test_contract_may_only_go_with_a_major_version_in_which_it_is_retired() -> None:
    assert changed(None).needs == "2.0"
    assert changed(None, retired={"sales": "1.5"}).needs == "2.0"
    assert changed(None, retired={"sales": "2.0"}).needs == ""


def test_contracts_that_are_the_same_do_not_differ_even_as_json() -> None:
    assert compare(CURRENT, ADAPTER.validate_json(ADAPTER.dump_json(CURRENT))) == []


def test_every_table_and_mart_has_a_contract_with_a_version() -> None:
    assert CURRENT.current.keys() == SOURCE_TABLES.keys() | MARTS.keys()
    assert [name for name, one in CURRENT.current.items() if not re.fullmatch(r"[1-9]\d*\.\d+", one.version)] == []
    assert not CURRENT.current.keys() & CURRENT.retired.keys()


def test_documentation_lists_the_effect_of_every_change() -> None:
    text = (PROJECT_ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z ]+) \|.*\| (yes|no) \| (yes|no) \|$", text, re.MULTILINE)
    listed = {change: (readers == "yes", producers == "yes") for change, readers, producers in rows}
    assert listed == {change: tuple(breaks) for change, breaks in EFFECTS.items()}


def test_changes_name_their_readers_and_the_version_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sales = CURRENT.current["daily_sales"]
    less = {name: column for name, column in sales.columns.items() if name != "revenue"}
    after = replace(CURRENT, current={**CURRENT.current, "daily_sales": replace(sales, columns=less)})
    monkeypatch.setattr(command, "describe", lambda: after)
    monkeypatch.setattr(command, "checked_out", lambda _: _Folder())
    readers = ["digest daily_sales", "a", "b", "c", "d", "e"]
    answers = iter([ADAPTER.dump_json(CURRENT).decode(), json.dumps([readers])] * 3)
    monkeypatch.setattr(command, "printed_by", lambda *_: next(answers))
    assert command.diff("HEAD", "text") == 1
    shown = capsys.readouterr().out
    assert "daily_sales 1.0 → 1.0, breaking" in shown
    assert "revenue: column removed; breaks its readers. Read by digest daily_sales, a, b, c and 2 more" in shown
    assert "State version 2.0 in its contract: a breaking change needs a new major version." in shown
    assert command.diff("HEAD", "markdown") == 1
    assert "- revenue: column removed" in capsys.readouterr().out
    assert command.diff("HEAD", "json") == 1
    [found] = json.loads(capsys.readouterr().out)["contracts"]
    assert found["differences"][0]["read_by"] == readers


def test_a_column_is_read_by_marts_and_through_them_by_reports_and_pages() -> None:
    costs = readers_of("Production_ProductCostHistory", "StandardCost")
    assert {"fact_sales", "monthly_profit", "report monthly_report", "page overview"} <= set(costs)
    assert "exchange_rates" not in costs
    assert readers_of("product_performance", "product_id") == ["page product_performance"]
    assert readers_of("customer_value", "r_score") == []
    assert readers_of("daily_sales", "revenue") == ["digest daily_sales", "page daily_sales_etl"]
    assert readers_of("Sales_SalesOrderHeader", "Status")[0] == "fact_sales", "a condition"


class _Folder:
    def __enter__(self) -> Path:
        return Path()

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(revision, "PROJECT_ROOT", tmp_path)
    return tmp_path


def commit(folder: Path) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "init.defaultBranch=main")
    for arguments in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x")):
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True)
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()


def test_contracts_are_compared_with_where_the_branch_left_main_or_the_commit_before(repository: Path) -> None:
    first, second = commit(repository), commit(repository)
    assert revision.base_revision() == first != second, "on main itself"
    subprocess.run(["git", "checkout", "-q", "-b", "change"], cwd=repository, check=True)
    for _ in range(2):
        commit(repository)
    assert revision.base_revision() == second


@pytest.mark.parametrize("commits", [0, 1])
def test_without_a_revision_to_compare_with_contracts_pass_with_a_reason(
    repository: Path, capsys: pytest.CaptureFixture[str], commits: int
) -> None:
    for _ in range(commits):
        commit(repository)
    assert command.diff("", "text") == 0
    reason = "there is no earlier commit" if commits else "this is not a Git repository"
    assert reason in capsys.readouterr().err


@pytest.fixture
def committed(repository: Path) -> Path:
    """The repository with a commit that has a module in each folder of a revision."""
    for name in revision.FOLDERS:
        (repository / name).mkdir()
        (repository / name / "old.py").write_text("number = 1")
    commit(repository)
    subprocess.run(["git", "add", "."], cwd=repository, check=True)
    commit(repository)
    return repository


def test_a_revision_is_read_by_python_without_filters_for_archives(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_filters = tarfile.TarFile.extractall

    def extractall(self: tarfile.TarFile, path: str) -> None:
        with_filters(self, path)

    # As in Python 3.11.2, which Debian 12 has.
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile.TarFile, "extractall", extractall)
    with revision.checked_out("HEAD") as folder:
        assert all((folder / name / "old.py").is_file() for name in revision.FOLDERS)


def test_programs_run_with_the_files_of_another_revision(committed: Path) -> None:
    (committed / "src" / "old.py").write_text("number = 2")
    with revision.checked_out("HEAD") as folder:
        printed = revision.printed_by("import old; print(old.number)", "HEAD", [folder / "src", folder])
        assert printed.strip() == "1"
        with pytest.raises(
            revision.PlatformError, match=r"The revision HEAD cannot be read: .*No module named 'later'"
        ):
            revision.printed_by("import later", "HEAD", [folder])
    with (
        pytest.raises(revision.PlatformError, match="The revision nowhere cannot be read"),
        revision.checked_out("nowhere"),
    ):
        pass


SETTINGS = Settings(warehouse_url=SecretStr("postgresql://me:s3cret@db.example.com:5433/dwh"), environment="pr_42")


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    return {name: odcs.document(SETTINGS, name, contract) for name, contract in CURRENT.current.items()}


def test_every_contract_is_valid_in_the_open_standard(documents: dict[str, Any]) -> None:
    validator = jsonschema.Draft201909Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    for name, document in documents.items():
        read_back = yaml.safe_load(yaml.safe_dump(document, sort_keys=False))
        assert [f"{name}: {error.message}" for error in validator.iter_errors(read_back)] == []


def test_document_says_what_the_contract_and_the_catalogue_say(documents: dict[str, Any]) -> None:
    card = documents["Sales_CreditCard"]
    columns = {column["name"]: column for column in card["schema"][0]["properties"]}
    assert columns["CreditCardID"]["primaryKeyPosition"] == 1
    assert columns["CardNumber"]["classification"] == "restricted"
    assert {"property": "storedAs", "value": "last_four"} in columns["CardNumber"]["customProperties"]
    assert columns["ExpMonth"]["logicalTypeOptions"] == {"minimum": 1, "maximum": 12}
    person = {column["name"]: column for column in documents["Person_Person"]["schema"][0]["properties"]}
    assert person["LastName"]["classification"] == "confidential"
    assert not person["MiddleName"]["required"]
    sales = documents["daily_sales"]
    assert (sales["team"], sales["version"]) == ({"name": "sales"}, "1.0")
    assert [(one["property"], one["value"], one["unit"]) for one in sales["slaProperties"]] == [
        ("freshness", 30, "min")
    ]
    columns = {column["name"]: column for column in sales["schema"][0]["properties"]}
    assert {"property": "unit", "value": "USD"} in columns["revenue"]["customProperties"]
    assert columns["revenue"]["physicalType"] == "numeric(38, 6)"
    assert columns["channel"]["quality"][0]["arguments"] == {"validValues": ["online", "reseller"]}
    assert "key_is_unique" in {rule["name"] for rule in sales["schema"][0]["quality"]}


def test_document_names_the_server_without_its_login(documents: dict[str, Any]) -> None:
    assert documents["daily_sales"]["servers"] == [
        {
            "server": "pr_42",
            "type": "postgres",
            "host": "db.example.com",
            "port": 5433,
            "database": "dwh",
            "schema": "pr_42_marts",
        }
    ]
    assert "s3cret" not in yaml.safe_dump_all(documents.values())


def test_document_has_the_names_and_types_of_a_snowflake_warehouse(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "snowflake", "login": "me", "password": "s3cret", "extra": {"account": "org-account"}}
    monkeypatch.setenv("AIRFLOW_CONN_SNOWFLAKE_DEFAULT", json.dumps(connection))
    document = odcs.document(Settings(warehouse="snowflake"), "Sales_CreditCard", CURRENT.current["Sales_CreditCard"])
    [server] = document["servers"]
    assert (server["account"], server["database"], server["schema"]) == ("org-account", "DBT_DB", "DBT_SCHEMA")
    [table] = document["schema"]
    assert (table["name"], table["physicalName"]) == ("Sales_CreditCard", "SALES_CREDITCARD")
    types = {column["physicalName"]: column["physicalType"] for column in table["properties"]}
    assert types["CREDITCARDID"] == "NUMBER(10, 0)"
    assert types["CARDNUMBER"] == "VARCHAR"
    assert types["MODIFIEDDATE"] == "TIMESTAMP_NTZ"
    assert "s3cret" not in yaml.safe_dump(document)


def test_export_writes_one_file_for_each_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.export(SETTINGS, "", tmp_path / "new")
    assert {file.name for file in (tmp_path / "new").iterdir()} == {f"{name}.odcs.yaml" for name in CURRENT.current}
    capsys.readouterr()
    command.export(SETTINGS, "daily_sales", None)
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "daily_sales"
    with pytest.raises(revision.PlatformError, match="There is no table or mart nothing"):
        command.export(SETTINGS, "nothing", None)
