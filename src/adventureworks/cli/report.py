"""`adventureworks report`: write the workbook and the PDF of a month on demand."""

from __future__ import annotations

from pathlib import Path

from adventureworks.cli.output import console
from adventureworks.cli.reading import reading
from adventureworks.errors import PlatformError, Step
from adventureworks.months import requested
from adventureworks.reports import month as months
from adventureworks.reports.delivery import KINDS, file_name, render_file, write_atomically
from adventureworks.settings import Settings
from adventureworks.texts import LANGUAGES
from adventureworks.warehouse.state import is_laid_out


def make(settings: Settings, key: str, language: str, folder: Path) -> None:
    """Write both files into a folder. Raises `PlatformError` for an unknown month or language."""
    if language not in LANGUAGES:
        raise PlatformError(
            f"The language {language} is not supported.", f"Choose: --lang {' or --lang '.join(LANGUAGES)}"
        )
    requested(key)
    with reading(settings) as session:
        if not is_laid_out(session.records):
            raise PlatformError(
                "Nothing is published yet, so there is nothing to report.", Step("Start:", "adventureworks run")
            )
        # All figures are read from one snapshot, which begins here.
        session.commit()
        found = months.figures(session, key)
    for kind in KINDS:
        file = folder / file_name(key, language, kind)
        write_atomically(file, render_file(found, language, kind))
        console().print(str(file), markup=False)
