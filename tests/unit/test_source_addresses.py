"""Addresses of a source as people have them, from Airflow's and SQLAlchemy's connections too."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from adventureworks.errors import PlatformError
from adventureworks.settings import Settings
from adventureworks.source import Kind, kind_of, open_source
from adventureworks.source.addresses import PostgresAddress


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("data", Kind.FILES),
        ("/data/aw.zip", Kind.FILES),
        ("file:///data", Kind.FILES),
        ("s3://lake@bucket/aw", Kind.FILES),
        ("gs://bucket/aw", Kind.FILES),
        ("abfs://lake@container/aw", Kind.FILES),
        ("https://host/aw.zip", Kind.FILES),
        ("airflow:mssql_default", Kind.CONNECTION),
        ("postgres://h/d", Kind.POSTGRESQL),
        ("postgresql+psycopg2://h/d", Kind.POSTGRESQL),
        ("mssql+pyodbc://h/d", Kind.SQL_SERVER),
        ("MSSQL://h/d", Kind.SQL_SERVER),
        ("mysql://h/d", None),
        ("https+x://h/d", None),
    ],
)
def test_addresses_are_recognized_by_their_scheme(address: str, kind: Kind | None) -> None:
    assert kind_of(address) is kind


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg"]
)
def test_drivers_of_postgresql_are_understood(scheme: str) -> None:
    address = PostgresAddress.of(SecretStr(f"{scheme}://me:s3cret@db:5433/aw?sslmode=verify-full"))
    assert (address.name, address.login) == ("aw on db:5433", "me")
    assert "sslmode=verify-full" in address.conninfo.get_secret_value()
    assert "password=s3cret" in address.conninfo.get_secret_value()


def test_the_tls_option_of_asyncpg_is_understood() -> None:
    address = PostgresAddress.of(SecretStr("postgresql+asyncpg://me:p@db/aw?ssl=verify-full"))
    assert "sslmode=verify-full" in address.conninfo.get_secret_value()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+psycopg2://u:s3cret@h/d?pool_size=5", "the option pool_size"),
        ("postgresql://u:a?s3cret=1@h/d", "an @ after its host"),
        ("postgresql+aiopg://u:s3cret@h/d", "a driver that is not supported"),
    ],
)
def test_what_cannot_be_honoured_is_refused_without_the_password(url: str, message: str) -> None:
    with pytest.raises(PlatformError, match=message) as error:
        PostgresAddress.of(SecretStr(url))
    assert "s3cret" not in f"{error.value}{error.value.__cause__}"


@pytest.mark.parametrize(
    "address",
    ["https://host[/s3cret.zip", "https://host:s3cret/aw.zip", "s3://lake@s3cret]/aw", "file://[s3cret/aw"],
)
def test_a_malformed_url_of_files_is_refused_without_its_text(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adventureworks.source.files_addresses._is_installed", lambda _: True)
    with pytest.raises(PlatformError, match="The source's URL is malformed") as error:
        open_source(Settings(source=address, source_url=None, home=tmp_path))
    assert "s3cret" not in f"{error.value}{error.value.__cause__}"


def test_an_unsupported_url_is_refused_with_the_choices() -> None:
    with pytest.raises(PlatformError, match=r"mysql:// URL is not supported\. Give .*s3://.*mssql://") as error:
        open_source(Settings(source="mysql://u:s3cret@h/d"))
    assert "s3cret" not in str(error.value)
