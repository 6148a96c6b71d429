"""What `make audit` says about the packages of the lock."""

from __future__ import annotations

import io
import json
import re

import pytest
from packaging.version import Version

from deploy import audit

FLAW = {"id": "CVE-2026-26007", "fix_versions": ["46.0.5"], "description": "…"}
VULNERABLE = {"name": "cryptography", "version": "45.0.7", "vulns": [FLAW]}
CLEAN = {"name": "polars", "version": "1.0", "vulns": []}
SKIPPED = {"name": "yarl", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("dependencies", "status", "said"),
    [
        (
            [VULNERABLE, CLEAN],
            1,
            ["cryptography 45.0.7: CVE-2026-26007, fixed in 46.0.5", "Packages checked: 2."],
        ),
        ([CLEAN], 0, ["Known vulnerabilities: 0. Packages checked: 1."]),
        ([CLEAN, SKIPPED], 0, ["PACKAGES THAT WERE NOT CHECKED: 1."]),
        ([SKIPPED], 2, ["VULNERABILITIES WERE NOT CHECKED"]),
        (None, 2, ["VULNERABILITIES WERE NOT CHECKED"]),
    ],
)
def test_known_vulnerabilities_and_a_missing_check_fail_and_missing_data_is_reported(
    dependencies: object,
    status: int,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = "" if dependencies is None else json.dumps({"dependencies": dependencies})
    monkeypatch.setattr("sys.stdin", io.StringIO(report))
    assert audit.main("vulnerabilities") == status
    printed = "".join(capsys.readouterr())
    assert all(text in printed for text in said)


def test_the_lock_avoids_the_vulnerable_versions_that_soda_would_bring() -> None:
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", audit.LOCK.read_text(), re.MULTILINE))
    assert Version(locked["cryptography"]) >= Version("46.0.5"), "CVE-2026-26007"
    assert Version(locked["pyopenssl"]) >= Version("26"), "CVE-2026-27448, CVE-2026-27459"


def test_licences_of_installed_packages_are_listed() -> None:
    found = audit.licences("polars==1.0 \\\n    --hash=sha256:0\nnot-installed-anywhere==1.0 \\\n")
    assert list(found.values()) == [["polars"]]
    assert "MIT" in next(iter(found))
