"""Files that are not on this machine: object stores, and archives at an https address. Only copies are read."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.source.files_addresses import parts_of_url
from adventureworks.source.files_archives import MOST_BYTES
from adventureworks.source.files_copies import CHUNK_BYTES, FULL, Copies, require_space
from adventureworks.source.files_places import FileState, Wanted

_TIMEOUT_SECONDS = 30.0
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")
"""Names under which the file systems of fsspec return an object's last change."""
_TAGS = ("ETag", "etag")


@dataclass(frozen=True)
class Store:
    """A folder in an object store. `files` is a file system of fsspec, `root` the folder in it without a scheme."""

    files: Any
    root: str
    address: str
    copies: Copies
    kind: str = "object store"

    @property
    def identity(self) -> str:
        """The store's address."""
        return f"files {self.address}"

    def is_file(self) -> bool:
        """Return whether the address names an object and not a folder."""
        with _responding(self.address):
            self.files.invalidate_cache()
            return bool(self.files.isfile(self.root))

    def entries(self, folder: str, wanted: Wanted) -> Mapping[str, FileState | None]:
        """Return the wanted objects of a folder by name, and None for folders."""
        path = f"{self.root}/{folder}".rstrip("/")
        with _responding(self.address):
            self.files.invalidate_cache()
            listed = self.files.ls(path, detail=True)
        found = {PurePosixPath(info["name"]): info for info in listed}
        return {
            name.name: None if info["type"] == "directory" else _object_state(info)
            for name, info in found.items()
            # Some stores return an empty object for the folder itself.
            if str(name).strip("/") != path.strip("/") and wanted(name.name)
        }

    def state(self, name: str = "") -> FileState:
        """Return the current state of an object; without a name, of the object that the address names."""
        with _responding(self.address):
            self.files.invalidate_cache()
            return _object_state(self.files.info(self._path(name)))

    def local(self, name: str, state: FileState) -> Path:
        """Return a copy of the object. Raises `ServiceUnavailable` if it has changed since it had this state."""
        file_name = PurePosixPath(self._path(name)).name

        def download(folder: Path) -> None:
            require_space(folder, state.size, file_name)
            with _responding(self.address):
                self.files.get_file(self._path(name), str(folder / file_name))
            if self.state(name).stamp != state.stamp or (folder / file_name).stat().st_size != state.size:
                raise _changed(file_name)

        return self.copies.copy(f"{self.identity} {name} {state.stamp}", download) / file_name

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root


def _object_state(info: Mapping[str, Any]) -> FileState:
    """Return size, entity tag (or else the time of the last change), and the time."""
    time = next((info[name] for name in _TIMES if info.get(name)), 0.0)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    changed = time.timestamp() if isinstance(time, datetime) else float(time)
    size = int(info["size"] or 0)
    tag = next((str(info[name]).strip('"') for name in _TAGS if info.get(name)), changed)
    return FileState(size, f"{size}-{tag}", changed)


@contextmanager
def _responding(address: str) -> Iterator[None]:
    """Turn the errors of a store's library into a retryable one that names the address.

    An object that does not exist or may not be read, and a full disk, raise the same errors as on this machine.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, FileNotFoundError | PermissionError | PlatformError):
            raise
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        # The libraries have errors of their own, whose messages may quote requests.
        raise ServiceUnavailable(
            f"{address} cannot be read: {type(error).__name__}.", "Check its Airflow connection and the network."
        ) from None


@dataclass(frozen=True)
class Download:
    """A file at an http or https URL, which may hold a secret in its query."""

    url: str
    copies: Copies

    @property
    def address(self) -> str:
        """The URL without its query."""
        parts = parts_of_url(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def state(self) -> FileState:
        """Return size, entity tag or last change as the server states them, without reading the file.

        Raises `PlatformError` if the server states none of them, or refuses the request.
        """
        with self._requested() as response:
            return self._state_of(response)

    def local(self, state: FileState) -> Path:
        """Return a copy of the file. Raises `ServiceUnavailable` if it is no longer in this state."""

        def download(folder: Path) -> None:
            require_space(folder, state.size, self.address)
            with self._requested() as response, (folder / "download").open("xb") as file:
                if self._state_of(response).stamp != state.stamp:
                    raise _changed(self.address)
                size = _copied(response, file, self.address)
            if state.size and size != state.size:
                raise ServiceUnavailable(f"{self.address} ended after {size:,} of {state.size:,} bytes.", "Try again.")

        return self.copies.copy(f"{self.address} {state.stamp}", download) / "download"

    @contextmanager
    def _requested(self) -> Iterator[http.client.HTTPResponse]:
        if "@" in parts_of_url(self.url).netloc:
            raise PlatformError(
                "The source's URL contains a user or a password, which http sources do not support.",
                "Use a URL that is signed in its query, or an object store: docs/operate/files.md",
            )
        request = Request(self.url, headers={"User-Agent": "adventureworks", "Accept-Encoding": "identity"})  # noqa: S310
        try:
            with build_opener(_SafeRedirects).open(request, timeout=_TIMEOUT_SECONDS) as response:
                yield response
        except HTTPError as error:
            reason = f"{self.address} cannot be read: the server answers {error.code} {error.reason}."
            if error.code >= 500 or error.code in (408, 429):
                raise ServiceUnavailable(reason, "Try again.") from None
            raise PlatformError(reason, "Check the address, and whether it needs a login or has expired.") from None
        except (URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)
            raise ServiceUnavailable(
                f"{self.address} does not respond: {type(cause).__name__}.", "Check the address and the network."
            ) from None

    def _state_of(self, response: http.client.HTTPResponse) -> FileState:
        size = int(response.headers.get("Content-Length") or 0)
        tag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        if not (size or tag or modified):
            raise PlatformError(
                f"The server of {self.address} sends no size, ETag or Last-Modified date, so"
                " changes cannot be detected.",
                "Download the file, and name its path.",
            )
        changed = 0.0
        if modified:
            try:
                changed = parsedate_to_datetime(modified).timestamp()
            except ValueError:
                changed = 0.0
        return FileState(size, f"{size}-{tag or modified or ''}", changed)


def _copied(response: http.client.HTTPResponse, file: IO[bytes], address: str) -> int:
    size = 0
    while data := response.read(CHUNK_BYTES):
        size += len(data)
        if size > MOST_BYTES:
            raise PlatformError(f"{address} is larger than {MOST_BYTES >> 30} GB.", "Use an object store or a folder.")
        file.write(data)
    return size


def _changed(name: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"{name} changed while it was downloaded.", "Try again.")


class _SafeRedirects(HTTPRedirectHandler):
    """Follow redirects, but never from https to something that is not encrypted."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        if req.type == "https" and not newurl.startswith("https://"):
            raise HTTPError(req.full_url, code, "it redirects to an address without https", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
