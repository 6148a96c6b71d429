"""Where reports are kept: a folder of the platform's home, or an object store that Airflow has a connection for."""

from __future__ import annotations

from airflow.sdk import ObjectStoragePath

from adventureworks.settings import Settings


def report_folder(settings: Settings) -> ObjectStoragePath:
    """The folder of all reports: `ADVENTUREWORKS_REPORTS_URL`, for example `s3://aws_default@bucket/reports`."""
    return ObjectStoragePath(settings.reports_url or f"file://{settings.home.absolute() / 'reports'}")
