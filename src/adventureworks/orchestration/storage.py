"""The storage of reports: a folder in the platform's home, or an object store with an Airflow connection."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import urlsplit

from airflow.sdk import ObjectStoragePath

from adventureworks.errors import PlatformError
from adventureworks.settings import Settings

STORES = {
    "s3": ("s3", ("s3fs", "airflow.providers.amazon")),
    "s3a": ("s3", ("s3fs", "airflow.providers.amazon")),
    "gs": ("gcs", ("gcsfs", "airflow.providers.google")),
    "gcs": ("gcs", ("gcsfs", "airflow.providers.google")),
    "abfs": ("azure", ("adlfs", "airflow.providers.microsoft.azure")),
    "abfss": ("azure", ("adlfs", "airflow.providers.microsoft.azure")),
    "adl": ("azure", ("adlfs", "airflow.providers.microsoft.azure")),
}
"""URL scheme -> the project's extra for this store, and what it installs: the file system and the Airflow provider."""
SETTING = "ADVENTUREWORKS_REPORTS_URL"


def report_folder(settings: Settings) -> ObjectStoragePath:
    """Return the folder of all reports: `ADVENTUREWORKS_REPORTS_URL`, for example `s3://aws_default@bucket/reports`.

    A named environment has its own folder in it.
    Raises PlatformError if the libraries for the store are not installed.
    """
    address = settings.reports_url or f"file://{settings.home.absolute() / 'reports'}"
    _require_libraries(address)
    folder = ObjectStoragePath(address)
    return folder / settings.environment if settings.environment else folder


def _require_libraries(address: str) -> None:
    scheme = urlsplit(address).scheme
    if not scheme:
        raise PlatformError(f"{SETTING} is not a URL: {address}.", "Write it as file:///folder or s3://bucket/folder.")
    extra, modules = STORES.get(scheme, ("", ()))
    missing = [module for module in modules if not _is_installed(module)]
    if missing:
        raise PlatformError(
            f"{SETTING} begins with {scheme}://, but {' and '.join(missing)} is not installed.",
            f"In the project's folder: .venv/bin/python -m pip install -e '.[{extra}]'",
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # Its parent package is not installed either.
        return False
