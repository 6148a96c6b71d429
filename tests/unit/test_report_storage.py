"""Location and languages of reports: a wrong setting is reported before a report is lost."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from adventureworks.cli.doctor import _reports
from adventureworks.errors import PlatformError
from adventureworks.orchestration.storage import report_folder
from adventureworks.reports.delivery import local_folder
from adventureworks.settings import Settings
from adventureworks.source import files_addresses
from adventureworks.source.files_addresses import STORES
from adventureworks.texts import LANGUAGES


def test_reports_are_stored_in_the_home_by_default(tmp_path: Path) -> None:
    folder = report_folder(Settings(home=tmp_path))
    (folder / "monthly").mkdir(parents=True)
    assert (tmp_path / "reports" / "monthly").is_dir()


def test_a_local_folder_is_the_same_with_and_without_airflow(tmp_path: Path) -> None:
    for address in ("", f"file://{tmp_path}/filed reports"):
        known = Settings(home=tmp_path, reports_url=address, environment="pr_1")
        assert str(local_folder(known)) == report_folder(known).path
    assert local_folder(Settings(home=tmp_path, reports_url="s3://aws@bucket/reports")) is None


@pytest.mark.parametrize("address", ["", "memory://bucket/reports"])
def test_environments_do_not_overwrite_each_others_reports(tmp_path: Path, address: str) -> None:
    folders = [
        report_folder(Settings(home=tmp_path, reports_url=address, environment=name))
        for name in ("", "staging", "pr_1")
    ]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "2014-05.pdf").write_text(str(folder))
    assert [(folder / "2014-05.pdf").read_text() for folder in folders] == [str(folder) for folder in folders]
    assert str(folders[1]) == f"{folders[0]}/staging"


@pytest.mark.parametrize("scheme", list(STORES))
def test_missing_library_of_a_store_is_reported_with_its_installation_command(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra, modules = STORES[scheme]
    monkeypatch.setattr(files_addresses, "_is_installed", lambda module: module != modules[0])
    settings = Settings(reports_url=f"{scheme}://connection@bucket/reports")
    for check in (report_folder, _reports):
        with pytest.raises(PlatformError, match=rf"{scheme}://, but {modules[0]} is not .* install -e '\.\[{extra}\]'"):
            check(settings)


def test_missing_library_is_detected() -> None:
    assert files_addresses._is_installed("fsspec")
    assert not files_addresses._is_installed("airflow.providers.nowhere.nothing")


def test_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(PlatformError, match=r"is not a URL: /srv/reports\. Write it as file://"):
        report_folder(Settings(reports_url="/srv/reports"))


def test_doctor_reports_the_location_of_reports_and_missing_languages(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text("groups: {finance: {language: fr}}\n")
    line = _reports(Settings(home=tmp_path, routes=file, report_languages=("en",)))
    assert line == f"in en, stored in file://{tmp_path}/reports; readers of fr receive them in en"
    file.write_text("digests: {dayly_sales: {to: [sales]}}\n")
    with pytest.raises(PlatformError, match=r"dayly_sales\. Known digests: daily_sales"):
        _reports(Settings(home=tmp_path, routes=file))


@pytest.mark.parametrize("wrong", [("de",), ()])
def test_report_languages_must_be_supported(wrong: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        Settings(report_languages=wrong)  # type: ignore[arg-type]
    [languages, _] = get_args(Settings.model_fields["report_languages"].annotation)
    assert get_args(languages) == LANGUAGES
