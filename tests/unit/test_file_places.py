"""Files in archives, in object stores and on web servers are read like those in a folder; unsafe ones are refused."""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import shutil
import ssl
import stat
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from adventureworks.cli.run import form_of
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.settings import Settings
from adventureworks.source import files_addresses, files_archives, files_copies, open_source
from adventureworks.source.files import FileSource
from adventureworks.source.files_copies import Copies
from adventureworks.source.files_opening import open_files, place_at
from adventureworks.source.files_remote import Download, Store
from tests.integration.tls import self_signed
from tests.unit.test_file_source import OFFER, STORE, offer, write_csv, write_parquet

NAME = "Sales_SpecialOffer.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    write_csv(made, [offer(1), offer(2)])
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def opened(address: str | Path, home: Path, rest_seconds: float = 0) -> FileSource:
    return open_files(str(address), home, batch_rows=10, rest_seconds=rest_seconds)


def numbers(source: FileSource) -> list[str]:
    """Return the keys of the offers that the source contains."""
    with source.snapshot() as snapshot:
        return [row["SpecialOfferID"] for batch in snapshot.rows(OFFER) for row in batch.to_pylist()]


def zipped(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


# --- archives


@pytest.mark.parametrize("top", ["", "adventureworks/", "Sales/"])
@pytest.mark.parametrize("name", ["aw.zip", "aw.tar", "aw.tar.gz", "aw.tar.bz2", "aw.tar.xz", "download"])
def test_archives_are_read_with_or_without_a_folder_around_the_files(
    folder: Path, home: Path, tmp_path: Path, name: str, top: str
) -> None:
    members = {f"{top}{NAME}": (folder / NAME).read_bytes(), f"__MACOSX/{top}._{NAME}": b"x"}
    path = tmp_path / name
    if name == "aw.zip":
        zipped(path, members)
    else:
        tarred(path, members, f"w:{path.suffix[1:] if path.suffix in ('.gz', '.bz2', '.xz') else ''}")
    source = opened(path, home)
    assert numbers(source) == ["1", "2"]
    kind = "zip" if name == "aw.zip" else "tar"
    assert form_of(source, 1) == f"{kind} archive with 1 of 71 tables, CSV: {path}"
    assert source.unknown_files() == []


def test_a_new_archive_with_the_same_content_changes_nothing_and_is_unpacked_once(
    folder: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = []
    unpack = files_archives.unpack

    def counted(archive: Path, into: Path, address: str) -> None:
        unpacked.append(address)
        unpack(archive, into, address)

    monkeypatch.setattr(files_archives, "unpack", counted)
    members = {NAME: (folder / NAME).read_bytes()}
    path = zipped(tmp_path / "aw.zip", members)
    first = opened(path, home).state(OFFER)
    assert opened(path, home).state(OFFER, first.fingerprint) == first
    assert len(unpacked) == 1

    zipped(path, {**members, "Sales_Store.csv": b"x"})
    second = opened(path, home)
    assert second.state(OFFER, first.fingerprint).fingerprint == first.fingerprint
    assert second.relations() == ["Sales.SpecialOffer", "Sales.Store"]
    assert len(unpacked) == 2
    assert opened(path, tmp_path / "another machine").state(OFFER, first.fingerprint).fingerprint == first.fingerprint


def test_an_archive_that_is_still_being_written_is_not_read(
    folder: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tarred(tmp_path / "aw.tar", {NAME: (folder / NAME).read_bytes()}, "w")
    whole = path.read_bytes()
    path.write_bytes(whole[:1024])
    monkeypatch.setattr("adventureworks.source.files_opening.time.sleep", lambda _: path.write_bytes(whole))
    with pytest.raises(ServiceUnavailable, match="still being written"):
        opened(path, home, rest_seconds=1000)


@pytest.mark.parametrize("name", ["aw.zip", "aw.tar", "aw.tar.gz"])
def test_a_truncated_archive_is_refused_wherever_it_ends(folder: Path, home: Path, tmp_path: Path, name: str) -> None:
    members = {NAME: (folder / NAME).read_bytes(), "Sales_Store.csv": b"x\n"}
    path = zipped(tmp_path / name, members) if name == "aw.zip" else tarred(tmp_path / name, members)
    if name == "aw.tar":
        tarred(path, members, "w")
    whole = path.read_bytes()
    last = len(whole) - 1
    if name == "aw.tar":
        with tarfile.open(path) as archive:
            archive.getmembers()
            last = archive.offset + tarfile.BLOCKSIZE - 1
    for length in range(last, 300, -97):
        path.write_bytes(whole[:length])
        with pytest.raises(PlatformError, match="damaged or incomplete"):
            numbers(opened(path, home))
    assert not [entry for entry in (home / "source-files").iterdir() if entry.is_dir()], "nothing is left behind"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../Sales_Store.csv", "not a plain relative path"),
        ("a/../../Sales_Store.csv", "not a plain relative path"),
        ("/etc/Sales_Store.csv", "not a plain relative path"),
        ("..\\Sales_Store.csv", "not a plain relative path"),
        ("C:\\Sales_Store.csv", "not a plain relative path"),
        ("a\nb.csv", "not a plain relative path"),
        ("a//b.csv", "not a plain relative path"),
        ("a/b/c/d/e/Sales_Store.csv", "more than 4 folders deep"),
        ("x" * 300, "longer than 255 bytes"),
    ],
)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_unsafe_names_are_refused(
    home: Path, tmp_path: Path, make: Callable[..., Path], name: str, problem: str
) -> None:
    path = make(tmp_path / "aw", {NAME: b"x\n", name: b"x\n"})
    with pytest.raises(PlatformError, match=problem) as error:
        opened(path, home).relations()
    assert f"its member {name[: files_archives.LONGEST_NAME]!a}" in str(error.value)
    assert not list(tmp_path.glob("*.csv"))


def test_names_that_are_not_utf8_are_refused(home: Path, tmp_path: Path) -> None:
    path = zipped(tmp_path / "aw.zip", {"ä.csv": b"x\n"})
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xe4x"))
    with pytest.raises(PlatformError, match=r"its member '\\\\xe4x\.csv' is not UTF-8"):
        opened(path, home).relations()
    path = tmp_path / "aw.tar"
    with tarfile.open(path, "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("ä.csv"))
    with pytest.raises(PlatformError, match=r"its member '\\udce4\.csv' is not UTF-8"):
        opened(path, home).relations()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(home: Path, tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "aw.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(NAME)
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(PlatformError, match=f"'{NAME}' is a link or a device"):
        opened(path, home).relations()


def test_links_and_encrypted_members_of_a_zip_are_refused(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "aw.zip"
    link = zipfile.ZipInfo(NAME)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(PlatformError, match=f"'{NAME}' is a link or a device"):
        opened(path, home).relations()

    content = bytearray(zipped(path, {NAME: b"x\n"}).read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(PlatformError, match=f"'{NAME}' is encrypted"):
        opened(path, home).relations()


def test_limits_are_named_with_the_member(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = {NAME: bytes(20 << 20)}
    for path in (zipped(tmp_path / "bomb.zip", bomb), tarred(tmp_path / "bomb.tar.gz", bomb)):
        with pytest.raises(PlatformError, match=rf"more than 200 times its size at {NAME}"):
            opened(path, home).relations()

    path = zipped(tmp_path / "many.zip", {NAME: b"x\n", "b.csv": b"", "c.csv": b""})
    monkeypatch.setattr(files_archives, "MOST_MEMBERS", 2)
    with pytest.raises(PlatformError, match=r"more than 2 members; c\.csv is one too many"):
        opened(path, home).relations()

    monkeypatch.setattr(files_archives, "MOST_MEMBERS", 9)
    monkeypatch.setattr(files_archives, "_LARGEST_READ", 1000)
    header = tmp_path / "header.tar"
    with tarfile.open(header, "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 5000}):
        pass
    with pytest.raises(PlatformError, match="headers is larger than"):
        opened(header, home).relations()

    monkeypatch.setattr(files_copies.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(PlatformError, match=rf"There is no room for {NAME}"):
        opened(path, home).relations()


def test_a_member_that_is_longer_than_stated_is_refused(home: Path, tmp_path: Path) -> None:
    content = bytearray(zipped(tmp_path / "aw.zip", {NAME: bytes(1000)}).read_bytes())
    start = content.rindex(b"PK\x01\x02") + 24
    content[start : start + 4] = (10).to_bytes(4, "little")
    (tmp_path / "aw.zip").write_bytes(content)
    with pytest.raises(PlatformError, match=r"aw\.zip is (damaged|not read)"):
        opened(tmp_path / "aw.zip", home).relations()


def test_a_file_that_is_not_an_archive_is_named(folder: Path, home: Path, tmp_path: Path) -> None:
    write_parquet(folder)
    with pytest.raises(PlatformError, match=r"\.parquet is a Parquet file\. Name a zip or tar"):
        opened(folder / "Sales_SpecialOffer.parquet", home)
    for head, reason in (
        (b"TAPE", r"is a backup of SQL Server\. Restore it in SQL Server"),
        (b"PGDMP", r"is a dump of PostgreSQL\. Restore it with pg_restore"),
        (b"Rar!", r"is a RAR archive\. Name a zip or tar"),
    ):
        (tmp_path / "AdventureWorks").write_bytes(head + bytes(600))
        with pytest.raises(PlatformError, match=reason):
            opened(tmp_path / "AdventureWorks", home)
    with pytest.raises(PlatformError, match="neither a folder nor an archive: No such file"):
        opened(tmp_path / "gone.zip", home)


def test_file_urls_and_paths_mean_the_same(folder: Path, home: Path) -> None:
    source = open_source(Settings(source=f"file://{folder}", home=home, file_rest_seconds=0))
    assert source.identity() == FileSource(folder, 10).identity()
    with pytest.raises(PlatformError, match="on another machine"):
        opened("file://server/share", home)


# --- compressed files


def test_compressed_csv_files_are_read_and_damage_is_reported(folder: Path, home: Path) -> None:
    content = (folder / NAME).read_bytes()
    (folder / NAME).unlink()
    path = folder / f"{NAME}.gz"
    path.write_bytes(gzip.compress(content))
    assert numbers(opened(folder, home)) == numbers(FileSource(folder, 10)) == ["1", "2"]
    for damaged, rule in ((path.read_bytes()[:-9], "file_is_whole"), (content, "file_has_the_expected_format")):
        path.write_bytes(damaged)
        with pytest.raises(TableBlocked, match=rf"{NAME}\.gz") as error:
            opened(folder, home).inspected(OFFER)
        assert error.value.rule == rule
    path.write_bytes(gzip.compress(bytes(20 << 20)))
    with pytest.raises(TableBlocked, match="more than 200 times its size"):
        opened(folder, home).inspected(OFFER)


# --- object stores


@pytest.fixture
def bucket() -> Iterator[Any]:
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield store
    store.store.clear()


def in_store(bucket: Any, home: Path, rest_seconds: float = 0) -> FileSource:
    copies = Copies(home)
    return FileSource(Store(bucket, "/bucket/aw", "s3://bucket/aw", copies), 10, rest_seconds, copies)


def test_objects_are_copied_when_they_are_needed_and_again_when_they_change(
    bucket: Any, folder: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    get = type(bucket).get_file

    def counted(store: Any, path: str, *given: Any, **options: Any) -> None:
        copied.append(path)
        get(store, path, *given, **options)

    monkeypatch.setattr(type(bucket), "get_file", counted)
    bucket.pipe({f"/bucket/aw/{NAME}": (folder / NAME).read_bytes(), "/bucket/aw/huge.bin": b"x"})
    bucket.pipe("/bucket/aw/Sales/Store.csv/part-0.csv", b"x\n")
    source = in_store(bucket, home)
    assert source.form() == "object store with 2 of 71 tables, CSV and CSV in part files"
    assert source.unknown_files() == ["huge.bin"]
    first = source.state(OFFER)
    assert numbers(in_store(bucket, home)) == ["1", "2"]
    assert copied == [f"/bucket/aw/{NAME}"]
    assert in_store(bucket, tmp_path / "another machine").state(OFFER, first.fingerprint) == first
    assert len(copied) == 1, "an object in the known state is not copied"

    write_csv(folder, [offer(3)])
    bucket.pipe(f"/bucket/aw/{NAME}", (folder / NAME).read_bytes())
    assert in_store(bucket, home).state(OFFER, first.fingerprint).fingerprint != first.fingerprint
    assert numbers(in_store(bucket, home)) == ["3"]


def test_an_object_that_is_still_replaced_is_not_read(
    bucket: Any, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.pipe(f"/bucket/aw/{NAME}", (folder / NAME).read_bytes())
    known = in_store(bucket, home).state(OFFER).fingerprint
    write_csv(folder, [offer(3)])
    bucket.pipe(f"/bucket/aw/{NAME}", (folder / NAME).read_bytes())
    monkeypatch.setattr(
        "adventureworks.source.files.time.sleep", lambda _: bucket.pipe(f"/bucket/aw/{NAME}", b"something else\n")
    )
    assert in_store(bucket, home, rest_seconds=1000).state(OFFER, known).fingerprint == known


def test_the_store_s_own_errors_name_the_address(bucket: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlatformError, match="s3://bucket/aw cannot be read"):
        in_store(bucket, home).relations()

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("request with s3cret")

    monkeypatch.setattr(type(bucket), "ls", fails)
    with pytest.raises(ServiceUnavailable, match="s3://bucket/aw cannot be read: RuntimeError") as error:
        in_store(bucket, home).relations()
    assert "s3cret" not in str(error.value)


def test_a_lost_connection_to_a_store_is_retried_and_does_not_block_the_table(
    bucket: Any, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.pipe(f"/bucket/aw/{NAME}", (folder / NAME).read_bytes())

    def fails(*_: Any, **__: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(type(bucket), "get_file", fails)
    with pytest.raises(ServiceUnavailable, match="ConnectionResetError"):
        in_store(bucket, home).state(OFFER)


def test_an_archive_in_a_store_is_copied_and_read(
    bucket: Any, folder: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped(tmp_path / "aw.zip", {NAME: (folder / NAME).read_bytes()})
    bucket.pipe("/bucket/aw.zip", (tmp_path / "aw.zip").read_bytes())
    monkeypatch.setattr("adventureworks.source.files_opening.require_store", lambda _: None)
    monkeypatch.setattr("adventureworks.source.files_opening.open_store", lambda _: (bucket, "/bucket/aw.zip"))
    source = opened("s3://lake@bucket/aw.zip", home)
    assert numbers(source) == ["1", "2"]
    assert source.identity() == "files s3://bucket/aw.zip"


def test_stores_need_their_libraries_and_keys_belong_in_a_connection(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_addresses, "_is_installed", lambda module: module != "s3fs")
    with pytest.raises(PlatformError, match=r"s3://, but s3fs is not installed.*pip install -e '\.\[s3\]'"):
        opened("s3://lake@bucket/aw", home)
    with pytest.raises(PlatformError, match="contains a key or a password") as error:
        opened("s3://AKIA:s3cret@bucket/aw", home)
    assert "s3cret" not in str(error.value)
    for cloud in ("core.windows.net", "core.chinacloudapi.cn", "core.usgovcloudapi.net", "fabric.microsoft.com"):
        with pytest.raises(PlatformError, match=f"account.dfs.{cloud}, which belongs.*abfss://connection@lake/aw"):
            opened(f"abfss://lake@account.dfs.{cloud}/aw", home)


def test_a_bracket_in_a_password_does_not_matter() -> None:
    assert not files_addresses.names_connection("postgresql://me:s[3]cret@host/aw")
    assert not files_addresses.is_in_store("postgresql://me:s[3]cret@host/aw")


# --- web servers


class Server:
    """A web server with one file, encrypted with a certificate that this process trusts."""

    def __init__(self, certificate: Path) -> None:
        self.content, self.tag, self.status, self.location = b"", "1", 200, ""
        self.sent = 0
        self.cut = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(server.status)
                if server.location:
                    self.send_header("Location", server.location)
                self.send_header("Content-Length", str(len(server.content)))
                self.send_header("ETag", f'"{server.tag}"')
                self.end_headers()
                self.wfile.write(server.content[: len(server.content) - server.cut])
                server.sent += 1

            def log_message(self, *_: Any) -> None:
                pass

        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"https://localhost:{self._http.server_port}/aw.zip?token=s3cret"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    certificate = self_signed(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("no_proxy", "localhost")
    running = Server(certificate)
    running.content = zipped(tmp_path / "served.zip", {NAME: (folder / NAME).read_bytes()}).read_bytes()
    yield running
    running.stop()


def test_an_archive_is_downloaded_once_for_each_version(server: Server, folder: Path, home: Path) -> None:
    source = opened(server.url, home)
    assert numbers(source) == ["1", "2"]
    assert source.identity() == source.identity().replace("s3cret", "")
    copies = sorted((home / "source-files").glob("*/download"))
    first = source.state(OFFER).fingerprint
    assert opened(server.url.replace("s3cret", "signed-again"), home).state(OFFER, first).fingerprint == first
    assert sorted((home / "source-files").glob("*/download")) == copies

    write_csv(folder, [offer(3)])
    server.content, server.tag = zipped(folder / "x.zip", {NAME: (folder / NAME).read_bytes()}).read_bytes(), "2"
    assert numbers(opened(server.url, home)) == ["3"]
    assert len(list((home / "source-files").glob("*/download"))) == 2


def test_web_errors_name_the_address_without_its_secrets(server: Server, home: Path) -> None:
    download = Download(server.url, Copies(home))
    state = download.state()
    server.tag = "2"
    with pytest.raises(ServiceUnavailable, match="changed while it was downloaded"):
        download.local(state)
    server.tag, server.cut = "1", 10
    with pytest.raises(ServiceUnavailable, match="ended after"):
        download.local(state)
    server.content, server.cut = b"<html>login</html>", 0
    with pytest.raises(PlatformError, match="an HTML page"):
        opened(server.url, home)
    for status, kind in ((403, PlatformError), (503, ServiceUnavailable)):
        server.status = status
        with pytest.raises(kind, match=str(status)) as error:
            opened(server.url, home)
        assert "s3cret" not in str(error.value)
    server.status, server.location = 302, "http://localhost:9/aw.zip"
    with pytest.raises(PlatformError, match="without https"):
        opened(server.url, home)
    with pytest.raises(PlatformError, match="contains a user or a password") as error:
        opened(server.url.replace("localhost", "me:s3cret@localhost"), home)
    assert "s3cret" not in str(error.value)


def test_an_untrusted_certificate_is_refused(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ServiceUnavailable, match="SSLCertVerificationError"):
        opened(server.url, home)


# --- copies


def test_copies_that_are_no_longer_used_are_deleted_and_failures_leave_nothing(tmp_path: Path) -> None:
    copies = Copies(tmp_path)

    def fail(draft: Path) -> None:
        (draft / "half").touch()
        raise EOFError

    with pytest.raises(EOFError):
        copies.copy("broken", fail)
    (tmp_path / "file").touch()
    with pytest.raises(PlatformError, match=r"cannot be copied to .*ADVENTUREWORKS_HOME=DIR"):
        Copies(tmp_path / "file" / "copies").copy("x", fail)
    old, kept = (copies.copy(key, lambda draft: (draft / "x").touch()) for key in ("old", "kept"))
    long_ago = time.time() - files_copies.KEEP_SECONDS - 60
    for path in (old, old.with_name(f"{old.name}.lock")):
        os.utime(path, (long_ago, long_ago))
    with old.with_name(f"{old.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        copies.copy("kept too", lambda draft: (draft / "x").touch())
        assert old.exists(), "a process is using it"
    shutil.rmtree(copies.copy("kept too", lambda draft: None))
    new = copies.copy("new", lambda draft: (draft / "x").touch())
    assert {entry for entry in tmp_path.iterdir() if entry.is_dir()} == {kept, new}
    assert stat.S_IMODE(new.stat().st_mode) == 0o700


def test_a_folder_is_read_in_place(folder: Path, home: Path) -> None:
    assert numbers(opened(folder, home)) == ["1", "2"]
    assert place_at(str(folder), Copies(home), 0).kind == "folder"
    assert not home.exists()
    with pytest.raises(TableBlocked, match=r"has no file Sales_Store\.parquet or Sales_Store\.csv"):
        opened(folder, home).inspected(STORE)
