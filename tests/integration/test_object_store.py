"""A folder of files in a bucket, read over HTTP with the libraries that a user installs for S3.

The server is moto's, and an Airflow connection names it as its endpoint. The packages are not part of the lock:
`.venv/bin/python -m pip install -e '.[s3]' 'moto[server]'` installs them for these tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adventureworks.cli.run import form_of
from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.settings import Settings
from adventureworks.source import Source, open_source
from tests.unit.test_file_places import zipped
from tests.unit.test_file_source import OFFER, offer, write_csv

for package in ("s3fs", "moto.server", "airflow.providers.amazon"):
    pytest.importorskip(package, reason="needs the packages for S3: see the module")

NAME = "Sales_SpecialOffer.csv"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Return the address of a server of S3 that listens on this machine only."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def connection(endpoint: str) -> str:
    """Return an Airflow connection to the server, as the value of an environment variable."""
    account = {"conn_type": "aws", "login": "reader", "password": "s3cret"}
    return json.dumps(account | {"extra": {"endpoint_url": endpoint, "region_name": "us-east-1"}})


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client with a bucket `lake`; the Airflow connection `store` leads to it."""
    import boto3

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AIRFLOW_CONN_STORE", connection(endpoint))
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="reader",
        aws_secret_access_key="s3cret",
    )
    client.create_bucket(Bucket="lake")
    yield client
    for stored in client.list_objects_v2(Bucket="lake").get("Contents", ()):
        client.delete_object(Bucket="lake", Key=stored["Key"])
    client.delete_bucket(Bucket="lake")


def put(bucket: Any, key: str, content: bytes) -> None:
    bucket.put_object(Bucket="lake", Key=key, Body=content)


def offers(folder: Path, *numbers: int) -> bytes:
    write_csv(folder, [offer(number) for number in numbers])
    return (folder / NAME).read_bytes()


def opened(home: Path, address: str) -> Source:
    return open_source(Settings(source=address, source_url=None, home=home, file_rest_seconds=0))


def numbers(source: Source) -> list[str]:
    with source.snapshot() as snapshot:
        return [row["SpecialOfferID"] for batch in snapshot.rows(OFFER) for row in batch.to_pylist()]


def test_files_in_a_bucket_are_read_over_http_and_again_when_they_change(bucket: Any, tmp_path: Path) -> None:
    put(bucket, f"aw/{NAME}", offers(tmp_path, 1, 2))
    put(bucket, "aw/Sales/Store.csv/part-0.csv", b"x\n")
    address = "s3://store@lake/aw"
    source = opened(tmp_path / "home", address)
    assert form_of(source, 2) == "object store with 2 of 71 tables, CSV and CSV in part files: s3://lake/aw"
    known = source.state(OFFER).fingerprint
    assert numbers(source) == ["1", "2"]
    assert opened(tmp_path / "home", address).state(OFFER, known).fingerprint == known

    put(bucket, f"aw/{NAME}", offers(tmp_path, 3))
    changed = opened(tmp_path / "home", address)
    assert changed.state(OFFER, known).fingerprint != known
    assert numbers(changed) == ["3"]


def test_an_archive_in_a_bucket_is_read(bucket: Any, tmp_path: Path) -> None:
    path = zipped(tmp_path / "aw.zip", {NAME: offers(tmp_path, 1, 2)})
    put(bucket, "aw.zip", path.read_bytes())
    assert numbers(opened(tmp_path / "home", "s3://store@lake/aw.zip")) == ["1", "2"]


def test_what_the_store_refuses_names_the_address_and_no_key(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PlatformError, match=r"s3://other/aw cannot be read") as missing:
        opened(tmp_path, "s3://store@other/aw").relations()
    with pytest.raises(PlatformError, match="There is no Airflow connection elsewhere"):
        opened(tmp_path, "s3://elsewhere@lake/aw")
    monkeypatch.setenv("AIRFLOW_CONN_STRANGER", connection("http://127.0.0.1:1"))
    with pytest.raises(ServiceUnavailable, match="s3://lake/aw cannot be read") as unreachable:
        opened(tmp_path, "s3://stranger@lake/aw").relations()
    assert "s3cret" not in f"{missing.value}{unreachable.value}"
