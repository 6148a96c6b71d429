"""Names of files are mapped to tables: every usual spelling of every table, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.errors import TableBlocked
from adventureworks.source.files import FileSource
from adventureworks.source.files_names import may_concern, may_hold, recognized

TABLES = list(SOURCE_TABLES.values())
OFFER = SOURCE_TABLES["Sales_SpecialOffer"]

spellings = st.builds(
    lambda table, form, suffix, change: (table.asset, change(form.format(table.schema, table.name) + suffix)),
    st.sampled_from(TABLES),
    st.sampled_from(["{0}_{1}", "{0}.{1}", "{0}/{1}", "{1}"]),
    st.sampled_from([".parquet", ".csv", ".csv.gz"]),
    st.sampled_from([str, str.lower, str.upper, str.swapcase]),
)


def found(*names: str) -> dict[str, list[str]]:
    return {asset: [one.name for one in every] for asset, every in recognized(names).candidates.items()}


@settings(max_examples=300)
@given(spellings)
def test_every_spelling_of_every_table_is_recognized(spelling: tuple[str, str]) -> None:
    asset, name = spelling
    assert found(name) == {asset: [name]}
    assert not recognized([name]).unknown
    folder, _, _ = name.rpartition("/")
    assert not folder or may_hold(f"{folder}/", asset)
    assert may_concern(asset)(name.partition("/")[0])


@settings(max_examples=300)
@given(spellings, st.sampled_from(["part-0.{}", "part-00000-aa.c000.snappy.{}", "data_0.{}", "000000_0.{}"]))
def test_folders_of_part_files_are_recognized_with_and_without_an_extension(
    spelling: tuple[str, str], part: str
) -> None:
    asset, name = spelling
    suffix = next(suffix for suffix in ("parquet", "csv.gz", "csv") if name.lower().endswith(suffix))
    for folder in (f"{name}/", f"{name[: -len(suffix) - 1]}/"):
        parts = (f"{folder}{part.format(suffix)}",)
        assert may_hold(folder, asset)
        names = [folder, *parts, f"{folder}_SUCCESS", f"{folder}.part.crc", f"{folder}_committed_17"]
        read = recognized(names)
        assert [(one.name, one.parts, one.suffix, one.fault) for one in read.candidates[asset]] == [
            (folder, parts, f".{suffix}", "")
        ]
        assert read.candidates[asset][0].is_marked_complete
        assert not read.unknown


@settings(max_examples=300)
@given(st.text(st.sampled_from("aS_./sl-0e"), max_size=12), spellings)
def test_other_files_are_never_taken_for_a_table(text: str, spelling: tuple[str, str]) -> None:
    _, name = spelling
    others = [f"{text}.txt", f"x{name}", f"{name}.bak", f"old/{name}", f".{name}", f"copy of {name}"]
    assert not recognized(others).candidates


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (("Sales_Store.csv", "sales_store.CSV"), ["Sales_Store.csv"]),
        (("sales_store.csv", "SALES_STORE.csv"), ["SALES_STORE.csv", "sales_store.csv"]),
        (("Sales_Store.csv", "Sales_Store.parquet"), ["Sales_Store.csv", "Sales_Store.parquet"]),
        (("Sales.Store.csv", "store.parquet"), ["Sales.Store.csv", "store.parquet"]),
        (("Sales/Store.csv", "Store/part-0.csv"), ["Sales/Store.csv", "Store/"]),
    ],
)
def test_an_exact_name_comes_first_and_several_files_are_all_named(names: tuple[str, ...], kept: list[str]) -> None:
    assert found(*names) == {"Sales_Store": kept}


def test_the_folder_of_a_schema_is_not_mistaken_for_the_table_of_the_same_name() -> None:
    names = ["Person/", "Person/Address.csv", "Person/Person.csv", "Person/_SUCCESS", "Person/readme.csv"]
    assert found(*names) == {"Person_Address": ["Person/Address.csv"], "Person_Person": ["Person/Person.csv"]}
    assert recognized(names).unknown == ("Person/readme.csv",)
    assert found("Person/", "Person/part-0.csv", "Person/part-1.csv") == {"Person_Person": ["Person/"]}
    [person] = recognized(["Person/part-0.csv", "Person/readme.csv"]).candidates["Person_Person"]
    assert "readme.csv" in person.fault, "never read partially"


@pytest.mark.parametrize(
    ("folder", "inside", "fault"),
    [
        ("Sales.SpecialOffer", ("part-0.csv", "part-1.parquet"), r"of different formats \(\.csv and \.parquet\)"),
        ("Sales_SpecialOffer", ("part-0.csv", "old.csv"), "contains old.csv, which is not named like a part file"),
        ("Sales_SpecialOffer", ("offers.csv",), "contains offers.csv, which is not named like a part file"),
        ("Sales_SpecialOffer.parquet", ("_delta_log/", "part-0.parquet"), "is a Delta Lake table"),
        ("Sales_SpecialOffer.parquet", ("_temporary/", "part-0.parquet"), "part files are incomplete"),
        ("SpecialOffer", ("year=2014/",), r"contains folders \(year=2014\)"),
        ("Sales_SpecialOffer.csv", ("_SUCCESS",), "contains no part files"),
    ],
)
def test_folders_that_cannot_be_read_as_parts_are_refused(
    tmp_path: Path, folder: str, inside: tuple[str, ...], fault: str
) -> None:
    (tmp_path / folder).mkdir()
    for name in inside:
        path = tmp_path / folder / name
        path.mkdir() if name.endswith("/") else path.touch()
    with pytest.raises(TableBlocked, match=rf"{folder}/ .*{fault}"):
        FileSource(tmp_path, 10).file_of(OFFER)
