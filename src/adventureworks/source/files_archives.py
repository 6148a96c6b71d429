"""Zip and tar archives of files: recognized by content, and unpacked once, within limits.

Nothing in an archive is trusted: neither names nor sizes, whatever its headers state. Archives inside an archive are
not opened.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.source.files_copies import CHUNK_BYTES, Copies, require_space
from adventureworks.source.files_names import recognized
from adventureworks.source.files_places import FileState, Wanted, state_of

MOST_MEMBERS = 10_000
MOST_BYTES = 64 << 30
MOST_RATIO = 200
"""Limit of the unpacked size as a multiple of the archive's, far above what files of tables compress to."""
RATIO_FREE_BYTES = 16 << 20
"""Up to this unpacked size, the ratio does not matter."""
MOST_FOLDERS = 4
"""Folders that a member may be in: one around all files, a schema, a table, and one more."""
LONGEST_NAME = 255

ZIP, TAR = "zip archive", "tar archive"
_INDEX = "index.json"
_MEMBERS = "members"
_LARGEST_READ = 16 << 20
_TAR_MAGIC = (257, b"ustar")
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_COMPRESSIONS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]|^[A-Za-z]:")


class _Member(NamedTuple):
    name: str
    size: int
    is_file: bool
    is_folder: bool
    is_encrypted: bool
    content: Any
    """What the library needs to open the member."""


class _Unreadable(Exception):
    """An archive that the libraries can open, but that must not or cannot be read. The message says why."""


class LimitExceeded(PlatformError):
    """A compressed file that is not read because it would become too large."""


def archive_kind(path: Path) -> str | None:
    """Return what kind of archive a file is, or None if it is not one. Raises `OSError`."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(_ZIP_STARTS):
        return ZIP
    try:
        with _decompressed(path, head) as content:
            first = content.read(512)
    except (*_DAMAGE, OSError):
        # A file that ends early still has a beginning that shows what it is.
        return TAR if head.startswith(tuple(_COMPRESSIONS)) else None
    start, magic = _TAR_MAGIC
    return TAR if first[start:].startswith(magic) else None


@dataclass(frozen=True)
class Archive:
    """The files of an archive on this machine, as it was when it had this stamp. Unpacked at first use."""

    path: Path
    stamp: str
    kind: str
    address: str
    copies: Copies

    @property
    def identity(self) -> str:
        """The archive's address."""
        return f"files {self.address}"

    def entries(self, folder: str, wanted: Wanted) -> Mapping[str, FileState | None]:
        """Return the wanted members in a folder by name, and None for folders."""
        found: dict[str, FileState | None] = {}
        prefix = f"{folder}/" if folder else ""
        for name, state in self._members.items():
            if name.startswith(prefix):
                first, slash, _ = name.removeprefix(prefix).partition("/")
                if wanted(first):
                    found[first] = None if slash else state
        return found

    def local(self, name: str, state: FileState) -> Path:
        """Return the unpacked member."""
        return self._unpacked / _MEMBERS / f"{self._top}{name}"

    @cached_property
    def _unpacked(self) -> Path:
        key = f"{self.address} {self.stamp} unpacked"
        return self.copies.copy(key, lambda folder: unpack(self.path, folder, self.address))

    @cached_property
    def _index(self) -> dict[str, FileState]:
        listed = json.loads((self._unpacked / _INDEX).read_text(encoding="utf-8"))
        # The hash is the stamp, so that members are known again in the next archive and on other machines.
        return {name: FileState(size, digest, 0.0) for name, (size, digest) in listed.items()}

    @cached_property
    def _top(self) -> str:
        """The one folder around all members with its slash, or an empty text."""
        tops = {name.partition("/")[0] for name in self._index}
        if recognized(self._index).candidates or len(tops) != 1 or "/" not in next(iter(self._index), ""):
            return ""
        return f"{tops.pop()}/"

    @cached_property
    def _members(self) -> dict[str, FileState]:
        return {name.removeprefix(self._top): state for name, state in self._index.items()}


def unpack(archive: Path, into: Path, address: str) -> None:
    """Write the visible members of an archive below a folder, with an index of their sizes and hashes.

    Raises `PlatformError` that names the member and the limit if the archive is not safe, or if it is damaged, and
    `ServiceUnavailable` if it changes meanwhile.
    """
    try:
        before = state_of(archive.stat())
        with archive.open("rb") as file:
            head = file.read(512)
        members = _zip_members if head.startswith(_ZIP_STARTS) else _tar_members
        with ExitStack() as opened:
            index = _written(members(archive, head, opened), before.size, into / _MEMBERS)
        (into / _INDEX).write_text(json.dumps(index), encoding="utf-8")
        if state_of(archive.stat()).stamp != before.stamp:
            raise ServiceUnavailable(f"{address} changed while it was read.", "Try again.")
    except _Unreadable as reason:
        raise PlatformError(
            f"The archive {address} is not read: {reason}.", "Make another one: docs/operate/files.md#archives"
        ) from None
    except UnicodeDecodeError as reason:
        # Occurs only in zip archives: the name is marked as UTF-8 but is not.
        name = reason.object.decode("utf-8", "backslashreplace")
        raise PlatformError(
            f"The archive {address} is not read: the name of its member {name[:LONGEST_NAME]!a} is not UTF-8.",
            "Make another one: docs/operate/files.md#archives",
        ) from None
    except NotImplementedError as reason:
        raise PlatformError(
            f"The archive {address} uses a compression that is not supported.", "Use deflate, bzip2 or xz."
        ) from reason
    except (*_DAMAGE, OSError) as damage:
        # The libraries raise errors without a number for damaged data; those of the system have one.
        if isinstance(damage, OSError) and damage.errno is not None:
            raise
        raise PlatformError(
            f"The archive {address} is damaged or incomplete ({type(damage).__name__}).", "Deliver it again."
        ) from damage


def _written(members: Iterator[_Member], archive_bytes: int, into: Path) -> dict[str, tuple[int, str]]:
    """Write the members, and return size and hash of each by name."""
    limit = min(MOST_BYTES, max(RATIO_FREE_BYTES, MOST_RATIO * archive_bytes))
    reason = f"more than {MOST_BYTES >> 30} GB" if limit == MOST_BYTES else f"more than {MOST_RATIO} times its size"
    into.mkdir()
    index: dict[str, tuple[int, str]] = {}
    count = total = 0
    for member in members:
        count += 1
        name = _safe_name(member)
        if count > MOST_MEMBERS:
            raise _Unreadable(f"it has more than {MOST_MEMBERS:,} members; {name} is one too many")
        total += member.size
        if total > limit:
            raise _Unreadable(f"it unpacks to {reason} at {name}")
        if member.is_folder or name.startswith("__MACOSX/"):
            continue
        if name in index:
            raise _Unreadable(f"it contains {name} twice")
        require_space(into, member.size, name)
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            index[name] = _copied(member, target)
        except FileExistsError:
            raise _Unreadable(f"{name} is both a file and a folder") from None
    return index


def _copied(member: _Member, target: Path) -> tuple[int, str]:
    """Write one member and return its size and hash; never write more than the size that was counted."""
    size, digest = 0, hashlib.sha256()
    with member.content() as content, target.open("xb") as file:
        while data := content.read(CHUNK_BYTES):
            size += len(data)
            if size > member.size:
                raise _Unreadable(f"{member.name} is longer than the archive says")
            digest.update(data)
            file.write(data)
    if size < member.size:
        raise EOFError
    return size, digest.hexdigest()


def _safe_name(member: _Member) -> str:
    """Return the name with slashes. Raises `_Unreadable` if the member could be written anywhere else."""
    name = member.name.replace("\\", "/").removesuffix("/")
    shown = ascii(member.name[:LONGEST_NAME])
    parts = name.removeprefix("./").split("/")
    if name == ".":
        return name
    if _UNSAFE.search(name) or name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise _Unreadable(f"the name of its member {shown} is not a plain relative path")
    if not _is_utf8(name):
        raise _Unreadable(f"the name of its member {shown} is not UTF-8")
    if not (member.is_file or member.is_folder):
        raise _Unreadable(f"its member {shown} is a link or a device")
    if member.is_encrypted:
        raise _Unreadable(f"its member {shown} is encrypted")
    if max(map(len, (part.encode() for part in parts))) > LONGEST_NAME:
        raise _Unreadable(f"the name of its member {shown}… is longer than {LONGEST_NAME} bytes")
    if len(parts) - 1 > MOST_FOLDERS:
        raise _Unreadable(f"its member {shown} is more than {MOST_FOLDERS} folders deep")
    return "/".join(parts)


def _is_utf8(name: str) -> bool:
    """Return whether a name was UTF-8 in the archive; tar's library replaces other bytes with surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _zip_members(archive: Path, _: bytes, opened: ExitStack) -> Iterator[_Member]:
    file = opened.enter_context(archive.open("rb"))
    unpacker = opened.enter_context(zipfile.ZipFile(cast(IO[bytes], _BoundedReader(file))))
    for info in unpacker.infolist():
        mode = stat.S_IFMT(info.external_attr >> 16)
        yield _Member(
            info.filename,
            info.file_size,
            is_file=not info.is_dir() and mode in (0, stat.S_IFREG),
            is_folder=info.is_dir() and mode in (0, stat.S_IFDIR),
            is_encrypted=bool(info.flag_bits & 1),
            content=lambda info=info: unpacker.open(info),
        )


def _tar_members(archive: Path, head: bytes, opened: ExitStack) -> Iterator[_Member]:
    content = opened.enter_context(_decompressed(archive, head))
    unpacker = opened.enter_context(tarfile.TarFile(fileobj=cast(IO[bytes], _BoundedReader(content))))
    for info in unpacker:
        yield _Member(
            info.name,
            info.size,
            is_file=info.isfile() and not info.issparse(),
            is_folder=info.isdir(),
            is_encrypted=False,
            content=lambda info=info: unpacker.extractfile(info),
        )
    content.seek(unpacker.offset)
    if content.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        # The library accepts an archive that ends after any member.
        raise EOFError
    if len(content.read(_LARGEST_READ)) == _LARGEST_READ:
        # Compressed data must be read to its end, where its checksum is.
        raise _Unreadable(f"more than {_LARGEST_READ >> 20} MB follow its end")


@contextmanager
def _decompressed(path: Path, head: bytes) -> Iterator[IO[bytes]]:
    opener = next((opener for start, opener in _COMPRESSIONS.items() if head.startswith(start)), open)
    with opener(path, "rb") as file:
        yield file


def decompress(path: Path, into: Path, name: str) -> None:
    """Write the content of a gzip file to `into`.

    Raises `LimitExceeded` if it is larger than an archive may be, `PlatformError` if the disk is full, and `EOFError`,
    `zlib.error` or `gzip.BadGzipFile` if the file is damaged or not compressed.
    """
    limit = min(MOST_BYTES, max(RATIO_FREE_BYTES, MOST_RATIO * path.stat().st_size))
    size = 0
    with gzip.open(path, "rb") as content, into.open("xb") as file:
        while data := content.read(CHUNK_BYTES):
            size += len(data)
            if size > limit:
                raise LimitExceeded(
                    f"{name} is not read: it unpacks to more than {MOST_RATIO} times its size.",
                    "Deliver it uncompressed.",
                )
            require_space(into.parent, len(data), name)
            file.write(data)


class _BoundedReader:
    """A file of which only a limited part is ever in memory, whatever sizes its headers state."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable, self.close = file.seek, file.tell, file.seekable, file.close

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, _LARGEST_READ + 1) if size >= 0 else _LARGEST_READ + 1)
        if len(data) > _LARGEST_READ:
            raise _Unreadable(f"one of its headers is larger than {_LARGEST_READ >> 20} MB")
        return data
