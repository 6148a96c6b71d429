"""The warehouse's URL: its options apply to every library that connects, and errors about it never show a password."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.errors import PlatformError
from adventureworks.gate import detect, judge, load, publish
from adventureworks.settings import Settings
from adventureworks.warehouse import open_warehouse
from tests.integration.pipeline import Pipeline
from tests.integration.tls import self_signed, tls_front

EVIL = """
create schema evil;
create function evil.forged(integer, integer) returns boolean language sql as 'select false';
create operator evil.= (leftarg = integer, rightarg = integer, function = evil.forged);
create function evil.upper(text) returns text language sql as $$ select 'forged' $$;
create aggregate evil.count(*) (sfunc = pg_catalog.int8inc, stype = bigint, initcond = '1000000');
grant usage on schema evil to public;
"""


def publish_a_change(settings: Settings) -> dict[str, str]:
    """Run an ingestion with every library that connects to the warehouse; return the status of each changed table."""
    groups = detect.detect(settings, "ingest_source/1")
    for group in groups:
        load.load(settings, "ingest_source/1", group)
    judge.judge(settings, "ingest_source/1")
    publish.publish(settings, "ingest_source/1")
    publish.conclude(settings, "ingest_source/1")
    with open_warehouse(settings).connect() as session:
        return dict(
            session.records.execute("select asset, status from ops.change where run_id = 'ingest_source/1'").fetchall()
        )


@pytest.fixture
def hostile(pipeline: Pipeline, postgres: EmbeddedPostgres) -> Pipeline:
    """A warehouse whose login finds someone else's functions and operators first."""
    name = pipeline.url.rsplit("/", 1)[1]
    with psycopg.connect(postgres.url(name, SUPERUSER), autocommit=True) as server:
        server.execute(EVIL)
        server.execute(f"alter role warehouse in database {name} set search_path to evil, pg_catalog")
    with psycopg.connect(pipeline.url) as caught:
        assert caught.execute("select upper('x'), 1 = 1").fetchone() == ("forged", False), "the trap is set"
    return pipeline


def test_a_hostile_search_path_does_not_affect_publishing(hostile: Pipeline) -> None:
    hostile.change('update "Production"."Product" set "ListPrice" = "ListPrice" + 1 where "ListPrice" > 0')
    assert publish_a_change(hostile.settings) == {"Production_Product": "published"}


def test_values_are_the_same_in_a_database_with_another_encoding_and_form_of_dates(postgres: EmbeddedPostgres) -> None:
    name = "latin"
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as server:
        server.execute(f"create database {name} encoding 'LATIN1' locale 'C' template template0")
        server.execute(f"alter database {name} set datestyle = 'SQL, DMY'")
        try:
            warehouse = open_warehouse(Settings(warehouse_url=SecretStr(postgres.url(name, SUPERUSER))))
            with warehouse.connect() as session:
                session.data.make_schemas(["staging"])
                session.data.execute("create table staging.filled (text varchar, day date)")
                frame = pl.DataFrame({"text": ["Zoë", "Åse"], "day": [date(2014, 6, 5), date(2014, 12, 31)]})
                session.data.fill("staging", "filled", frame)
                assert session.data.execute("select length(text) from staging.filled").fetchall() == [(3,), (3,)]
                assert session.data.frame("select text, day from staging.filled order by day", {}).equals(frame)
        finally:
            server.execute(f"drop database {name} with (force)")


def test_every_library_uses_the_encryption_that_the_url_requires(pipeline: Pipeline, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "localhost")
    plain = pipeline.url.replace("127.0.0.1", "localhost")
    port = plain.rsplit(":", 1)[1].split("/")[0]
    pipeline.change('update "Production"."Product" set "ListPrice" = "ListPrice" + 1 where "ListPrice" > 0')
    with tls_front(int(port), certificate) as front:
        safe = plain.replace(f":{port}/", f":{front.port}/")
        url = f"{safe}?sslmode=verify-full&sslrootcert={certificate}&options=-cstatement_timeout%3D77777"
        settings = pipeline.settings.model_copy(update={"warehouse_url": SecretStr(url)})
        assert publish_a_change(settings) == {"Production_Product": "published"}
        with open_warehouse(settings).connect() as session:
            assert session.records.execute("show statement_timeout").fetchone() == ("77777ms",), (
                "other options of the URL apply too"
            )
            assert session.records.execute("show timezone").fetchone() == ("UTC",)


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cret%zz@db/aw", "postgresql://u:p@s3cret/x@db/aw", "postgresql://u:s3cret@[db/aw"]
)
def test_an_invalid_url_is_not_shown(url: str) -> None:
    with (
        pytest.raises(PlatformError, match="The warehouse's URL") as raised,
        open_warehouse(Settings(warehouse_url=SecretStr(url))).connect(),
    ):
        pass
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert "%40" in str(raised.value.next_step)
