"""Surveys in XML: typed answers, and rows set aside if the XML is malformed, malicious or invalid."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import columns_of, source_columns_of
from adventureworks.gate.contract import ValidatedBatch, validate
from adventureworks.gate.survey import MOST_CHARACTERS, answers

STORES = SOURCE_TABLES["Sales_Store"]
PERSONS = SOURCE_TABLES["Person_Person"]
NAMESPACE = "http://schemas.microsoft.com/sqlserver/2004/07/adventure-works/IndividualSurvey"
ROOT = f"{{{NAMESPACE}}}IndividualSurvey"
ANSWERS = {
    "TotalPurchaseYTD": "-48861.593876",
    "DateFirstPurchase": "2003-11-17Z",
    "BirthDate": "1971-05-05+01:00",
    "MaritalStatus": "M",
    "YearlyIncome": "75001-100000",
    "TotalChildren": "0",
    "Education": "Bachelors ",
    "HomeOwnerFlag": "0",
    "CommuteDistance": "10+ Miles",
}
TYPED = {
    "SurveyTotalPurchaseYTD": Decimal("-48861.593876"),
    "SurveyDateFirstPurchase": date(2003, 11, 17),
    "SurveyBirthDate": date(1971, 5, 5),
    "SurveyMaritalStatus": "M",
    "SurveyYearlyIncome": "75001-100000",
    "SurveyGender": None,
    "SurveyTotalChildren": 0,
    "SurveyNumberChildrenAtHome": None,
    "SurveyEducation": "Bachelors",
    "SurveyOccupation": None,
    "SurveyHomeOwnerFlag": False,
    "SurveyNumberCarsOwned": None,
    "SurveyCommuteDistance": "10+ Miles",
}


def survey(given: dict[str, str] | str, root: str = f'IndividualSurvey xmlns="{NAMESPACE}"') -> str:
    inside = given if isinstance(given, str) else "".join(f"<{name}>{text}</{name}>" for name, text in given.items())
    return f"<{root}>{inside}</{root.split(maxsplit=1)[0]}>"


def validated(*surveys: str | None) -> ValidatedBatch:
    """Return the validated rows of persons with these surveys, all in one batch."""
    rows = pl.DataFrame(
        {
            "BusinessEntityID": range(len(surveys)),
            "PersonType": "IN",
            "NameStyle": False,
            "Title": None,
            "FirstName": "Ann",
            "MiddleName": None,
            "LastName": "Lee",
            "Suffix": None,
            "EmailPromotion": 0,
            "AdditionalContactInfo": None,
            "Demographics": pl.Series(surveys, dtype=pl.String),
            "rowguid": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
            "ModifiedDate": date(2014, 6, 30),
        }
    )
    return validate(PERSONS, rows.to_arrow().combine_chunks().to_batches()[0])


def answered(split: ValidatedBatch) -> list[dict[str, Any]]:
    return split.good.select("^Survey.*$").to_dicts()


WRITTEN = {
    "like the source": survey(ANSWERS),
    "after a byte order mark": "\ufeff" + survey(ANSWERS),
    "with a declaration of a different encoding": '\n<?xml version="1.0" encoding="utf-16"?>' + survey(ANSWERS),
    "without a namespace": survey(ANSWERS, "IndividualSurvey"),
    "in a namespace with a prefix": survey(
        {f"s:{name}": text for name, text in ANSWERS.items()}, f's:IndividualSurvey xmlns:s="{NAMESPACE}"'
    ),
    "with blanks, comments and unknown elements": survey(
        "\n".join(f"<{name}>\n {text}<!-- comment --> </{name}>" for name, text in ANSWERS.items())
        + "<Occupation/><Hobby>golf</Hobby><Comments>has <Gender>X</Gender></Comments>"
    ),
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN.keys())
def test_answers_are_typed_whatever_their_notation(text: str) -> None:
    assert answered(validated(text)) == [TYPED]


@pytest.mark.parametrize("text", [None, "", "\ufeff", " \n", "<IndividualSurvey/>"])
def test_an_unanswered_question_is_null(text: str | None) -> None:
    assert answered(validated(text)) == [dict.fromkeys(TYPED)]


LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]>'
BROKEN = {
    "not closed": (survey(ANSWERS)[:-5], "Demographics_is_well_formed"),
    "two roots": (survey(ANSWERS) * 2, "Demographics_is_well_formed"),
    "an undeclared entity": (survey({"Gender": "&x;"}), "Demographics_is_well_formed"),
    "not XML": ("a cyclist", "Demographics_is_well_formed"),
    "entities": (LAUGHS + survey({"Occupation": "&c;"}), "Demographics_has_no_dtd"),
    "an external file": (
        '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + survey("&f;"),
        "Demographics_has_no_dtd",
    ),
    "an external URL": ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">' + survey(ANSWERS), "Demographics_has_no_dtd"),
    "a different survey": ("<StoreSurvey><Gender>F</Gender></StoreSurvey>", "Demographics_is_of_its_schema"),
    "a different schema": (survey(ANSWERS, 'IndividualSurvey xmlns="urn:x"'), "Demographics_is_of_its_schema"),
    "deep": (survey("<a>" * 9_000 + "</a>" * 9_000), "Demographics_is_flat"),
    "long": (survey({"Occupation": "a" * MOST_CHARACTERS}), "Demographics_is_short"),
    "two answers": (survey("<Gender>F</Gender><Gender>M</Gender>"), "Demographics_answers_once"),
    "many children": (survey({"TotalChildren": "many"}), "SurveyTotalChildren_is_readable"),
    "a negative number of children": (survey({"TotalChildren": "-1"}), "SurveyTotalChildren_is_readable"),
    "a day that does not exist": (survey({"BirthDate": "1971-02-30Z"}), "SurveyBirthDate_is_readable"),
    "text after a date": (survey({"DateFirstPurchase": "2003-11-17, noon"}), "SurveyDateFirstPurchase_is_readable"),
    "an amount instead of a band": (survey({"YearlyIncome": "63250"}), "SurveyYearlyIncome_is_known"),
    "an unknown code": (survey({"Gender": "X"}), "SurveyGender_is_one_of"),
}


@pytest.mark.parametrize(("text", "rule"), BROKEN.values(), ids=BROKEN.keys())
def test_an_unreadable_survey_sets_only_its_row_aside(text: str, rule: str) -> None:
    split = validated(survey(ANSWERS), text, None)
    (rejection,) = split.rejections
    assert (rejection.row, rejection.rule) == (1, rule)
    assert split.good["BusinessEntityID"].to_list() == [0, 2]
    assert split.bad["Demographics"].to_list() == [text]
    assert split.bad.width == split.good.width


def test_a_message_states_the_broken_rule_in_words() -> None:
    rejections = validated(survey({"TotalChildren": "many"}), "<", LAUGHS).rejections
    assert [rejection.message for rejection in rejections] == [
        "TotalChildren in Demographics is a whole number from 0 to 255",
        "Demographics is well-formed XML",
        "Demographics has no document type and no entities",
    ]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_no_text_stops_a_batch(texts: list[str]) -> None:
    read, faults = answers(pl.Series(texts, dtype=pl.String), ROOT, ["Gender"])
    assert read.height == len(texts)
    assert all(texts[fault.row].strip("\ufeff \t\r\n") for fault in faults)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_an_answer_is_unchanged_except_for_surrounding_blanks(text: str) -> None:
    read, faults = answers(pl.Series([survey({"Occupation": escape(text)})]), ROOT, ["Occupation"])
    if not faults:
        assert read["Occupation"].to_list() == [text.strip() or None]
    else:
        assert any(character in "\ufffe\uffff" for character in text)


def test_text_files_and_typed_sources_have_the_same_answers() -> None:
    names = [column.name for column in source_columns_of(STORES)]
    xml = survey({"AnnualSales": "800000", "YearOpened": "1996", "Internet": "T1"}, "StoreSurvey")
    values = ["7", "Wheels", None, xml, "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "2014-06-30 00:00:00"]
    text = pa.RecordBatch.from_arrays([pa.array([value], pa.string()) for value in values], names=names)
    typed = validate(STORES, text).good
    again = validate(STORES, typed.select(names).to_arrow().combine_chunks().to_batches()[0]).good
    assert typed.equals(again)
    assert typed.select("SurveyAnnualSales", "SurveyYearOpened", "SurveyInternet").row(0) == (800_000, 1996, "T1")


@pytest.mark.parametrize("table", SOURCE_TABLES.values(), ids=lambda table: table.asset)
def test_columns_derived_from_personal_data_are_personal(table: Any) -> None:
    for column in columns_of(table):
        if column.derivation:
            assert column.derivation.column in {other.name for other in source_columns_of(table)}
            assert column.nullable
            assert (column.derivation.column in table.personal) is (column.name in table.personal), column.name
