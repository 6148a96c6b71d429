"""The generated pages are up to date, and the documentation has no broken link."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from adventureworks.reference import FOLDER, PAGES, rewritten


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(FOLDER).as_posix())
def test_a_generated_page_is_up_to_date(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == rewritten(page), "run: make docs"


def test_the_architecture_names_only_files_and_folders_that_exist() -> None:
    text = (FOLDER / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:[\w.-]+/)+(?:[\w.-]+\.(?:py|sql|po|yaml))?)`", text)
    project = FOLDER.parent
    missing = [
        path for path in named if not ((project / path).exists() or (project / "src/adventureworks" / path).exists())
    ]
    assert named
    assert not missing


def test_every_page_is_part_of_the_site_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    options = f"-q -W --keep-going -b dummy -d {tmp_path}".split()
    command = [sys.executable, "-m", "sphinx", *options, str(FOLDER), str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", sorted(FOLDER.parent.glob("*.md")), ids=lambda page: page.name)
def test_every_link_of_a_page_outside_the_site_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!\w+://)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        linked = FOLDER.parent / path if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target
