"""The storage of reports: a folder in the platform's home, or an object store with an Airflow connection."""

from __future__ import annotations

from airflow.sdk import ObjectStoragePath

from adventureworks.errors import PlatformError
from adventureworks.reports.delivery import folder_address
from adventureworks.settings import Settings
from adventureworks.source.files_addresses import parts_of_url, require_libraries

SETTING = "ADVENTUREWORKS_REPORTS_URL"


def report_folder(settings: Settings) -> ObjectStoragePath:
    """Return the folder of all reports: `ADVENTUREWORKS_REPORTS_URL`, for example `s3://aws_default@bucket/reports`.

    A named environment has its own folder in it.
    Raises PlatformError if the address is not a valid URL, or the libraries for the store are not installed.
    """
    address = folder_address(settings)
    if not parts_of_url(address, SETTING).scheme:
        raise PlatformError(f"{SETTING} is not a URL: {address}.", "Write it as file:///folder or s3://bucket/folder.")
    require_libraries(address, SETTING)
    folder = ObjectStoragePath(address)
    return folder / settings.environment if settings.environment else folder
