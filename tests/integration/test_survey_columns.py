"""Columns derived from a survey, from source to warehouse, including columns that the contract gains later."""

from __future__ import annotations

import psycopg

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import columns_of
from tests.integration.pipeline import Pipeline

DERIVED = [column.name for column in columns_of(SOURCE_TABLES["Person_Person"]) if column.derivation]
WITHOUT_INCOME = 'select count(*) from raw."Person_Person" where "PersonType" = \'IN\' and "SurveyYearlyIncome" is null'


def drop_derived_columns(pipeline: Pipeline) -> None:
    """Reset the warehouse to a state before the contract had derived columns."""
    with psycopg.connect(pipeline.url) as connection:
        for name in DERIVED:
            connection.execute(f'alter table raw."Person_Person" drop column "{name}" cascade')
        connection.execute("delete from ops.layout")
        connection.execute("update ops.watermark set columns_digest = 'older' where asset = 'Person_Person'")


def test_survey_answers_become_columns_and_an_invalid_survey_sets_its_row_aside(pipeline: Pipeline) -> None:
    assert pipeline.published(WITHOUT_INCOME) == [(0,)]
    person, other = (
        row[0]
        for row in pipeline.at_source(
            'select "BusinessEntityID" from "Person"."Person" where "PersonType" = \'IN\' order by 1 limit 2'
        )
    )
    columns = 'select "SurveyTotalChildren", "SurveyOccupation" from raw."Person_Person" where "BusinessEntityID" = %s'
    before = pipeline.published(columns, [person])
    pipeline.change(
        'update "Person"."Person" set "Demographics" = %s where "BusinessEntityID" = %s',
        ["<IndividualSurvey><TotalChildren>many</TotalChildren></IndividualSurvey>", person],
    )
    pipeline.change(
        'update "Person"."Person" set "Demographics" = %s where "BusinessEntityID" = %s',
        ["<IndividualSurvey><TotalChildren>3</TotalChildren></IndividualSurvey>", other],
    )
    version = pipeline.ingest().published["Person_Person"]
    assert (version.changed_rows, version.set_aside) == (1, 1)
    assert pipeline.published(columns, [person]) == before, "the last good version stays"
    assert pipeline.published(columns, [other]) == [(3, None)]
    assert pipeline.published(
        'select "BusinessEntityID", "SurveyTotalChildren", rule, message from quarantine."Person_Person"'
    ) == [
        (
            str(person),
            None,
            "SurveyTotalChildren_is_readable",
            "TotalChildren in Demographics is a whole number from 0 to 255",
        )
    ]


def test_a_new_column_of_the_contract_is_filled_in_all_rows_of_an_unchanged_source(
    pipeline: Pipeline,
) -> None:
    columns = ", ".join(f'"{name}"' for name in DERIVED)
    query = f'select {columns} from raw."Person_Person" order by "BusinessEntityID"'
    before = pipeline.published(query)
    drop_derived_columns(pipeline)
    ingested = pipeline.ingest()
    assert ingested.loaded == ["Person_Person"]
    assert ingested.published["Person_Person"].changed_rows == len(before)
    assert pipeline.published(query) == before
    assert pipeline.ingest().loaded == []


def test_a_new_column_is_filled_after_a_blocked_attempt(pipeline: Pipeline) -> None:
    drop_derived_columns(pipeline)
    pipeline.change('alter table "Person"."Person" rename column "Demographics" to "Answers"')
    assert pipeline.ingest().opened == {"Person_Person": "columns_are_there"}
    pipeline.change('alter table "Person"."Person" rename column "Answers" to "Demographics"')
    assert "Person_Person" in pipeline.ingest().published
    assert pipeline.published(WITHOUT_INCOME) == [(0,)]
