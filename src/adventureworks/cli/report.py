"""`adventureworks report`: the workbook and the PDF of a month, made by hand."""

from __future__ import annotations

from pathlib import Path

from adventureworks.cli.output import console
from adventureworks.cli.reading import reading
from adventureworks.errors import PlatformError
from adventureworks.reports import month as months
from adventureworks.reports.delivery import KINDS, file_name, made, write_whole
from adventureworks.settings import Settings
from adventureworks.texts import LANGUAGES
from adventureworks.warehouse.state import is_laid_out


def make(settings: Settings, key: str, language: str, folder: Path) -> None:
    """Writes both files into a folder. Raises PlatformError for a month or a language that there is not."""
    if language not in LANGUAGES:
        raise PlatformError(f"There is no language {language}.", f"Choose: --lang {' or --lang '.join(LANGUAGES)}")
    months.first_day(key)
    with reading(settings) as connection:
        if not is_laid_out(connection):
            raise PlatformError("Nothing to report is published yet.", "Start: adventureworks run")
        # The figures are read from one moment, which begins here.
        connection.commit()
        found = months.figures(connection, key)
    for kind in KINDS:
        file = folder / file_name(key, language, kind)
        write_whole(file, made(found, language, kind))
        console().print(str(file), markup=False)
