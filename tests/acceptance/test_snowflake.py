"""The real data through the whole platform into Snowflake: every table and mart has the same rows as in PostgreSQL.

Snowflake is replaced by fakesnow (`tests/integration/snowflake_double.py`); connector, hook and Soda are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from unittest.mock import ANY

import polars as pl
import pytest
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, Mart, SourceTable
from adventureworks.catalog.pages import has_page
from adventureworks.columns import Column, columns_of, key_of
from adventureworks.dashboard import analysis, asset, breakdown, figures, rules, search
from adventureworks.due import NothingToDo
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.errors import ServiceUnavailable
from adventureworks.gate import detect, judge, load, publish
from adventureworks.marts import build, gate
from adventureworks.marts import publish as publishing
from adventureworks.marts.plan import plan
from adventureworks.reports import month as months
from adventureworks.reports.digests import DIGESTS
from adventureworks.settings import Settings
from adventureworks.texts import language
from adventureworks.warehouse import publication
from adventureworks.warehouse.snowflake import SnowflakeData, schemas_of
from adventureworks.warehouse.sql import names, published_schema, table
from tests.conftest import create_database
from tests.integration.pipeline import Pipeline
from tests.integration.snowflake_double import recorded_statements, snowflake_double, stored_rows

ENTRIES: list[SourceTable | Mart] = [*SOURCE_TABLES.values(), *MARTS.values()]
ROUNDING = Decimal("0.0000000001")
"""Snowflake divides to twelve places and PostgreSQL to sixteen digits, before both round to ten."""
WITHOUT_ROWS = frozenset({"dbo_ErrorLog"})
OF_THE_RUN = frozenset({"run_id"})
"""Columns that contain the run, and so differ between two platforms."""


@pytest.fixture(scope="module")
def in_snowflake(
    real_data: Path, postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pipeline]:
    """A platform with everything ingested and analysed once, from an empty account, and with replaceable files."""
    source = tmp_path_factory.mktemp("source")
    for file in (real_data / "parquet").iterdir():
        (source / file.name).symlink_to(file)
    settings = Settings(
        source=str(source),
        warehouse="snowflake",
        warehouse_url=SecretStr(postgres.url(create_database(postgres, "warehouse"), "warehouse")),
    )
    with pytest.MonkeyPatch.context() as patch, snowflake_double(patch):
        pipeline = Pipeline(settings)
        ingested = pipeline.ingest()
        assert ingested.opened == {}
        assert ingested.published.keys() == SOURCE_TABLES.keys()
        assert sorted(pipeline.settle()) == sorted(ANALYSES)
        yield pipeline


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.asset)
def test_snowflake_has_the_rows_of_postgresql(
    platform: Pipeline, in_snowflake: Pipeline, entry: SourceTable | Mart
) -> None:
    wanted, found = _rows(platform, entry), _rows(in_snowflake, entry)
    assert wanted.height or entry.asset in WITHOUT_ROWS, "there must be rows to compare"
    assert found.height == wanted.height
    for name in wanted.columns:
        unequal = _differ(name, found, wanted)
        assert not unequal.any(), f"{name}: {found.filter(unequal).head(3)} against {wanted.filter(unequal).head(3)}"


@pytest.mark.parametrize("of", ["a month", "the dashboard", "the analyses", "the profiles", "the digests"])
def test_reports_dashboard_and_digests_are_the_same(platform: Pipeline, in_snowflake: Pipeline, of: str) -> None:
    shown = [list(_shown(pipeline, of)) for pipeline in (in_snowflake, platform)]
    assert shown[0] == shown[1]
    assert all(shown[0])


def _shown(pipeline: Pipeline, of: str) -> Iterator[object]:
    english = language("en")
    with pipeline.session() as session:
        if of == "a month":
            yield months.figures(session, "2014-05")
        elif of == "the dashboard":
            yield figures.overview(session, english)
            # Rounded, because the double divides in floating point.
            quality = rules.quality(session)
            yield [(name, round(float(score), 9)) for name, score in quality.dimensions]
            yield [(one.table, one.rule, one.failed, one.systematic, one.spark) for one in quality.failing]
            names = figures.series_names(session.data)
            yield names
            series = figures.series(session.data, *names[0])
            yield series
            yield figures.sold_so_far(session.data, series, date(2099, 1, 1))
            yield breakdown.broken_down(
                session.data, "margin", breakdown.months_of(session.data), "", {"channel": "online"}, english
            )
            yield search.search(session.data, ("re",), english)
            yield [
                replace(one, state=replace(one.state, published_at=None))
                for one in figures.assets(pipeline.settings, session)
            ]
        elif of == "the analyses":
            for mart in filter(has_page, MARTS):
                months_shown = analysis.months_of(session.data, mart)
                choice = analysis.Choice(months_shown.period("fiscal_year", ""))
                page = analysis.shown(session.data, mart, choice, months_shown.partial, english)
                yield mart, months_shown, page.rows, page.count, page.withheld
                yield [(drawing.caption, drawing.rows) for drawing in page.drawings]
        elif of == "the profiles":
            for name in SOURCE_TABLES:
                yield name, _comparable(asset.recorded_profile(session.records, name))
            for name in MARTS:
                yield name, _comparable(asset.measured_profile(session.data, name, 1))
        else:
            for name in (
                "daily_sales",
                "low_stock",
                "late_work_orders",
                "product_affinity",
                "quota_pace",
                "customer_value",
            ):
                rendered = DIGESTS[name].message(session, english, "http://localhost")
                yield rendered and rendered.text


def _comparable(profile: asset.Profile | None) -> object:
    """Return a profile without the columns of the run, and with rounded means: they are computed in floating point."""
    return profile and replace(
        profile,
        columns=tuple(
            replace(one, mean=one.mean and float(f"{one.mean:.9g}"))
            for one in profile.columns
            if one.name not in OF_THE_RUN
        ),
    )


def test_without_changes_no_statement_is_sent_to_snowflake(in_snowflake: Pipeline) -> None:
    with recorded_statements() as sent:
        assert detect.detect(in_snowflake.settings, "ingest_source/idle") == []
        assert not detect.has_work(in_snowflake.settings, "ingest_source/idle")
        assert detect.difference(in_snowflake.settings) is None
        for dag in ANALYSES:
            step = plan(in_snowflake.settings, dag)
            assert isinstance(step, NothingToDo), dag
    assert sent == []


def test_data_committed_without_its_record_is_recorded_by_the_next_attempt(
    in_snowflake: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = in_snowflake
    file = Path(pipeline.settings.source, "Sales_CreditCard.parquet")
    cards = pl.read_parquet(file)
    of_type = dict(cards.group_by("CardType").len().iter_rows())
    other = next(kind for kind in sorted(of_type) if kind != cards["CardType"][0])
    changed = cards.with_row_index("place").with_columns(
        CardType=pl.when(pl.col("place") == 0).then(pl.lit(other)).otherwise("CardType")
    )
    file.unlink()
    changed.drop("place").write_parquet(file)
    run = "ingest_source/dies"
    for group in detect.detect(pipeline.settings, run):
        load.load(pipeline.settings, run, group)
    judge.judge(pipeline.settings, run)

    commit = SnowflakeData.commit

    def dies(data: SnowflakeData) -> None:
        commit(data)
        if data.purpose.startswith("publish") and data.statements:
            raise ServiceUnavailable("The process is killed.", "")

    monkeypatch.setattr(SnowflakeData, "commit", dies)
    with pytest.raises(ServiceUnavailable):
        publish.publish(pipeline.settings, run)
    monkeypatch.undo()
    assert newest_card_version(pipeline) == (1, ANY), "the data is there, its version is not"

    publish.publish(pipeline.settings, run)
    assert newest_card_version(pipeline) == (2, None), "any month may have changed"
    publish.conclude(pipeline.settings, run)
    dag = "credit_card_analysis"
    build.build(pipeline.settings, dag, f"{dag}/dies")
    gate.gate(pipeline.settings, dag, f"{dag}/dies")
    monkeypatch.setattr(SnowflakeData, "commit", dies)
    with pytest.raises(ServiceUnavailable):
        publishing.publish(pipeline.settings, dag, f"{dag}/dies")
    monkeypatch.undo()
    assert dag in pipeline.settle(), "another run, which finds its rows already published"
    (card_usage,) = pipeline.published("select max(version) from ops.publication where asset = 'card_usage'")
    assert card_usage == (2,), "readers of the first version are notified"
    with pipeline.session() as session:
        found = session.data.execute(
            'select count(*) from raw."Sales_CreditCard" where "CardType" = %s', (other,)
        ).fetchone()
        used = session.records.execute("select count(*) from ops.warehouse_use").fetchone()
    assert found == (of_type[other] + 1,)
    assert used is not None
    assert used[0] > len(ANALYSES), "the statements of each session are counted"


def newest_card_version(pipeline: Pipeline) -> tuple[int, object]:
    with pipeline.session() as session:
        found = publication.newest(session.records, "Sales_CreditCard")
    assert found is not None
    return found.version, found.months


def _rows(pipeline: Pipeline, entry: SourceTable | Mart) -> pl.DataFrame:
    """Return the rows of a table in key order: numbers as decimals, everything else as text in a common format."""
    columns = [column for column in columns_of(entry) if column.name not in OF_THE_RUN]
    if pipeline.settings.warehouse == "snowflake":
        schema = dict(schemas_of(pipeline.settings))[published_schema(entry)]
        frame = stored_rows(schema, entry.asset, [column.name for column in columns])
    else:
        with pipeline.session() as session:
            query = (
                f"select {names(column.name for column in columns)} from {table(published_schema(entry), entry.asset)}"
            )
            frame = session.data.frame(query, {})
    key = [name for name in key_of(entry) if name not in OF_THE_RUN]
    return frame.select(map(_plain, columns)).sort(*key, *(c.name for c in columns if c.name not in key))


def _plain(column: Column) -> pl.Expr:
    if column.dtype.is_numeric():
        return pl.col(column.name).cast(pl.Decimal(38, 12))
    # PostgreSQL drops trailing zeros of fractional seconds, Snowflake does not.
    return pl.col(column.name).cast(pl.String).str.replace(r"(:\d\d)(\.\d*?)0+$", "${1}${2}").str.strip_chars_end(".")


def _differ(name: str, found: pl.DataFrame, wanted: pl.DataFrame) -> pl.Series:
    one, other = found[name], wanted[name]
    if not one.dtype.is_decimal():
        return one.ne_missing(other)
    return one.is_null().ne_missing(other.is_null()) | ((one - other).abs() > ROUNDING).fill_null(False)
