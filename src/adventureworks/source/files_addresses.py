"""Addresses of files: paths on this machine, and object stores with what they need to be opened."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from adventureworks.errors import PlatformError

_AMAZON = ("s3", ("s3fs", "airflow.providers.amazon"))
_GOOGLE = ("gcs", ("gcsfs", "airflow.providers.google"))
_AZURE = ("azure", ("adlfs", "airflow.providers.microsoft.azure"))
STORES = {
    "s3": _AMAZON,
    "s3a": _AMAZON,
    "gs": _GOOGLE,
    "gcs": _GOOGLE,
    "abfs": _AZURE,
    "abfss": _AZURE,
    "adl": _AZURE,
}
"""URL scheme -> the project's extra for this store, and what it installs: the file system and the Airflow provider."""


def parts_of_url(url: str, what: str = "The source's URL") -> SplitResult:
    """Return the parts of a URL. Raises `PlatformError`, without any part of the URL, if it is malformed."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # The error's text may quote the URL.
        raise PlatformError(
            f"{what} is malformed: its host or its port is not valid.",
            "Write @ / : ? [ ] and % in a user or a password as %40 %2F %3A %3F %5B %5D and %25. Brackets may only"
            " enclose an IPv6 address, and a port is a number.",
        ) from None
    return parts


def names_connection(address: str) -> bool:
    """Return whether an address names an Airflow connection: `airflow:connection`, or `s3://connection@bucket`."""
    return address.startswith("airflow:") or (is_in_store(address) and "@" in _authority(address))


def is_in_store(address: str) -> bool:
    """Return whether this is the URL of an object store."""
    return "://" in address and _scheme(address) in STORES


def require_store(address: str) -> None:
    """Raise `PlatformError` if a source's URL of an object store holds a key, or if its libraries are not installed."""
    scheme, authority = _scheme(address), _authority(address)
    connection, _, place = authority.rpartition("@")
    if ":" in connection:
        raise PlatformError(
            f"The {scheme}:// address contains a key or a password.",
            f"Keep it in an Airflow connection: {scheme}://connection@bucket/folder",
        )
    if STORES[scheme] is _AZURE and "." in place:
        # A container's name has no dots: this is Azure's own form, `abfss://container@account.dfs.core.windows.net`.
        container, path = connection.rpartition("@")[2] or "container", _rest(address).partition("/")[2]
        raise PlatformError(
            f"The {scheme}:// address names the storage account {place}, which belongs in an Airflow connection.",
            f"Write the connection before the container: {scheme}://connection@{container}/{path}",
        )
    require_libraries(address, "The source's URL")


def require_libraries(address: str, setting: str) -> None:
    """Raise `PlatformError`, with the command that installs them, if the libraries for this URL are not installed."""
    scheme = _scheme(address)
    extra, modules = STORES.get(scheme, ("", ()))
    missing = [module for module in modules if not _is_installed(module)]
    if missing:
        raise PlatformError(
            f"{setting} begins with {scheme}://, but {' and '.join(missing)} {_is(missing)} not installed.",
            f"In the project's folder: .venv/bin/python -m pip install -e '.[{extra}]'."
            " In containers, build another image: docs/operate/kubernetes.md#another-provider",
        )


def is_local(address: str) -> bool:
    """Return whether this is a path or a `file://` URL."""
    return "://" not in address or address.lower().startswith("file://")


def local_path(address: str) -> Path:
    """Return the absolute path that a path or a `file://` URL names. Raises `PlatformError` if it names a host."""
    if address.lower().startswith("file://"):
        parts = parts_of_url(address)
        if parts.netloc not in ("", "localhost"):
            raise PlatformError(
                f"The address {address} names a file on another machine.", "Use three slashes: file:///folder"
            )
        return Path(unquote(parts.path))
    return Path(address).expanduser().absolute()


def open_store(address: str) -> tuple[Any, str]:
    """Return the file system of fsspec for a URL such as `s3://connection@bucket/folder`, and the path in it.

    Raises `PlatformError` if there is no such Airflow connection.
    """
    from airflow.sdk import BaseHook, ObjectStoragePath
    from airflow.sdk.exceptions import AirflowNotFoundException

    path = ObjectStoragePath(address)
    try:
        if path.conn_id:
            # Amazon's provider would go on without a connection that does not exist, with the machine's identity.
            BaseHook.get_connection(path.conn_id)
        return path.fs, path.path
    except AirflowNotFoundException:
        raise PlatformError(
            f"There is no Airflow connection {path.conn_id}.",
            f"Add it, set AIRFLOW_CONN_{str(path.conn_id).upper()}, or leave it out to use this machine's"
            " identity: docs/operate/files.md#object-stores",
        ) from None


def _scheme(address: str) -> str:
    # `urlsplit` fails if the password in the URL of a database contains a bracket.
    return address.partition("://")[0].lower()


def _authority(address: str) -> str:
    return _rest(address).partition("/")[0]


def _rest(address: str) -> str:
    return address.partition("://")[2]


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # Its parent package is not installed either.
        return False
