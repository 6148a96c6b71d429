"""The environment of the local services."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.request import proxy_bypass

import pytest
from pydantic import SecretStr

from adventureworks.embedded import airflow
from adventureworks.embedded.home import Home
from adventureworks.embedded.services import Endpoints
from adventureworks.settings import Settings

DATABASE = SecretStr("postgresql://user:secret@127.0.0.1:5432/database")


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_services_talk_to_each_other_without_the_proxy_of_the_machine(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "example.com")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.org:3128")
    home = Home(tmp_path / "home")
    home.prepare()
    variables = airflow.environment(home, Settings(), Endpoints(*[DATABASE] * 5), {}, 8080)
    monkeypatch.setattr(os, "environ", variables)
    passed_by = [host for host in ("127.0.0.1", "localhost", "example.com", "other.com") if proxy_bypass(host)]
    assert passed_by == ["127.0.0.1", "localhost", "example.com"]
