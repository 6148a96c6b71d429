"""Columns that are read out of a survey, from the source to the warehouse, and when the contract gains them later."""

from __future__ import annotations

import psycopg

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import columns_of
from tests.integration.pipeline import Pipeline

DERIVED = [column.name for column in columns_of(SOURCE_TABLES["Person_Person"]) if column.derivation]
WITHOUT_INCOME = 'select count(*) from raw."Person_Person" where "PersonType" = \'IN\' and "SurveyYearlyIncome" is null'


def forget_the_columns(pipeline: Pipeline) -> None:
    """Makes the warehouse one of the days when the contract had no such columns."""
    with psycopg.connect(pipeline.url) as connection:
        for name in DERIVED:
            connection.execute(f'alter table raw."Person_Person" drop column "{name}" cascade')
        connection.execute("delete from ops.layout")
        connection.execute(
            "update ops.watermark set fingerprint = regexp_replace(fingerprint, ' [^ ]+$', ' older')"
            " where asset = 'Person_Person'"
        )


def test_a_survey_becomes_columns_and_a_broken_one_sets_its_row_aside(pipeline: Pipeline) -> None:
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


def test_a_column_that_the_contract_gains_is_filled_in_every_row_though_the_source_did_not_change(
    pipeline: Pipeline,
) -> None:
    columns = ", ".join(f'"{name}"' for name in DERIVED)
    query = f'select {columns} from raw."Person_Person" order by "BusinessEntityID"'
    before = pipeline.published(query)
    forget_the_columns(pipeline)
    ingested = pipeline.ingest()
    assert ingested.loaded == ["Person_Person"]
    assert ingested.published["Person_Person"].changed_rows == len(before)
    assert pipeline.published(query) == before
    assert pipeline.ingest().loaded == []


def test_a_gained_column_is_filled_though_the_first_attempt_was_blocked(pipeline: Pipeline) -> None:
    forget_the_columns(pipeline)
    pipeline.change('alter table "Person"."Person" rename column "Demographics" to "Answers"')
    assert pipeline.ingest().opened == {"Person_Person": "columns_are_there"}
    pipeline.change('alter table "Person"."Person" rename column "Answers" to "Demographics"')
    assert "Person_Person" in pipeline.ingest().published
    assert pipeline.published(WITHOUT_INCOME) == [(0,)]
