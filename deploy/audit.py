"""Lists the licences of the packages in the lock, and judges what pip-audit reports about their vulnerabilities."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
_PINNED = re.compile(r"^([\w.-]+)==", re.MULTILINE)
_CLASSIFIER = "License :: "
_UNKNOWN = "unknown: read the package's own files"


def licences(lock: str) -> dict[str, list[str]]:
    """Return the packages of a lock that are installed, by licence."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(_PINNED.findall(lock)):
        try:
            found[_licence(distribution(name))].append(name)
        except PackageNotFoundError:
            # The lock also holds packages for other systems and versions of Python.
            continue
    return dict(sorted(found.items()))


def _licence(package: Distribution) -> str:
    stated = package.metadata.json
    if stated.get("license_expression"):
        return str(stated["license_expression"])
    listed = [one for one in stated.get("classifier", ()) if one.startswith(_CLASSIFIER)]
    if listed:
        return "; ".join(sorted(one.rpartition(" :: ")[2] for one in listed))
    text = str(stated.get("license") or "").strip()
    # Some packages put the whole text of the licence here.
    return text if text and "\n" not in text else _UNKNOWN


def judge(report: Mapping[str, Any]) -> tuple[list[str], int, int]:
    """Return the vulnerabilities in a report of pip-audit, and how many packages were checked and could not be."""
    checked = [one for one in report["dependencies"] if "skip_reason" not in one]
    findings = [
        f"{one['name']} {one['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for one in checked
        for flaw in one["vulns"]
    ]
    return findings, len(checked), len(report["dependencies"]) - len(checked)


def main(what: str) -> int:
    """Print one of the two lists. Return 1 if there is a known vulnerability, 2 if no package was checked, else 0."""
    if what == "licences":
        for licence, names in licences(LOCK.read_text()).items():
            print(f"{licence}: {', '.join(names)}")
        return 0
    text = sys.stdin.read()
    findings, checked, skipped = judge(json.loads(text)) if text.strip() else ([], 0, 0)
    if checked:
        print(*findings, f"Known vulnerabilities: {len(findings)}. Packages checked: {checked}.", sep="\n")
    else:
        print("VULNERABILITIES WERE NOT CHECKED: pip-audit or its data is not available here.", file=sys.stderr)
        return 2
    if skipped:
        print(
            f"PACKAGES THAT WERE NOT CHECKED: {skipped}. No vulnerability data is available for them here.",
            file=sys.stderr,
        )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
