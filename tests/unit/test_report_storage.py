"""Where reports go and in which languages: a wrong setting is told before it loses a report."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from adventureworks.cli.doctor import _reports
from adventureworks.errors import PlatformError
from adventureworks.orchestration import storage
from adventureworks.orchestration.storage import STORES, report_folder
from adventureworks.settings import Settings
from adventureworks.texts import LANGUAGES


def test_reports_are_kept_in_the_home_unless_told_otherwise(tmp_path: Path) -> None:
    folder = report_folder(Settings(home=tmp_path))
    (folder / "monthly").mkdir(parents=True)
    assert (tmp_path / "reports" / "monthly").is_dir()


@pytest.mark.parametrize("address", ["", "memory://bucket/reports"])
def test_no_environment_files_its_reports_over_those_of_another(tmp_path: Path, address: str) -> None:
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
def test_a_store_whose_library_is_missing_is_named_with_what_installs_it(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra, modules = STORES[scheme]
    monkeypatch.setattr(storage, "_is_installed", lambda module: module != modules[0])
    settings = Settings(reports_url=f"{scheme}://connection@bucket/reports")
    for ask in (report_folder, _reports):
        with pytest.raises(PlatformError, match=rf"{scheme}://, and {modules[0]} is not .* install -e '\.\[{extra}\]'"):
            ask(settings)


def test_a_library_that_is_not_there_is_found_out() -> None:
    assert storage._is_installed("fsspec")
    assert not storage._is_installed("airflow.providers.nowhere.nothing")


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(PlatformError, match=r"is not an address: /srv/reports\. Write it as file://"):
        report_folder(Settings(reports_url="/srv/reports"))


def test_doctor_says_where_reports_go_and_who_misses_a_language(tmp_path: Path) -> None:
    routed = tmp_path / "routes.yaml"
    routed.write_text("groups: {finance: {language: fr}}\n")
    said = _reports(Settings(home=tmp_path, routes=routed, report_languages=("en",)))
    assert said == f"in en, kept in file://{tmp_path}/reports; readers of fr get them in en"
    routed.write_text("digests: {dayly_sales: {to: [sales]}}\n")
    with pytest.raises(PlatformError, match=r"dayly_sales\. There are daily_sales"):
        _reports(Settings(home=tmp_path, routes=routed))


@pytest.mark.parametrize("wrong", [("de",), ()])
def test_reports_can_only_be_made_in_languages_that_there_are(wrong: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        Settings(report_languages=wrong)  # type: ignore[arg-type]
    [languages, _] = get_args(Settings.model_fields["report_languages"].annotation)
    assert get_args(languages) == LANGUAGES
