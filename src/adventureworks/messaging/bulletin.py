"""A message as data, and its rendering: HTML suitable for mail clients, plain text, and Slack's blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from adventureworks.charts.rendering import png
from adventureworks.charts.theme import Spec
from adventureworks.errors import Step
from adventureworks.messaging.rendered import Attachment, RenderedMessage
from adventureworks.messaging.steps import as_text
from adventureworks.texts import Language
from adventureworks.texts.plain import cut, map_texts, plain

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

PRODUCT = "AdventureWorks"
MAX_ROWS = 200
MAIN_COLOUR, ERROR_COLOUR, WARNING_COLOUR, SUCCESS_COLOUR = "#0550ae", "#b42318", "#8a5300", "#1a7f37"
CHART = "chart.png"

_MAX_SUBJECT_LENGTH = 160


@dataclass(frozen=True)
class Figure:
    """A headline figure: name, value and a note for comparison, all formatted for display."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Listing:
    """A table: heading, column names, and rows formatted for display, the most important first."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    """Number of leading columns with self-explanatory text; the others hold figures."""
    max_rows: int = MAX_ROWS
    """Maximum number of rows shown; the remaining ones are only counted."""

    def details(self, row: Sequence[str], separator: str) -> str:
        """Return all but the first cell of a row as one line, with figures labelled by their column names."""
        cells = list(zip(self.columns, row, strict=True))
        texts = [cell for _, cell in cells[1 : self.text_columns] if cell]
        figures = [f"{column.lower()} {cell}" for column, cell in cells[self.text_columns :] if cell]
        return separator.join([*texts, *figures])


@dataclass(frozen=True)
class Bulletin:
    """The content of a message. `chart_text` is the chart's alternative text."""

    title: str
    about: str
    figures: tuple[Figure, ...]
    listings: tuple[Listing, ...] = ()
    notes: tuple[str, ...] = ()
    chart: Spec | None = field(default=None, hash=False)
    chart_text: str = ""
    next_steps: tuple[Step, ...] = ()
    link: str = ""
    """Text of the link; default: open the dashboard."""
    page: str = ""
    """Target of the link, relative to the UI's address."""
    subject: str = ""
    """Subject of the mail; default: the title."""
    colour: str = MAIN_COLOUR
    attachments: tuple[Attachment, ...] = ()
    """Files for the mail; Slack has no files."""


def render(bulletin: Bulletin, language: Language, ui_url: str = "") -> RenderedMessage:
    """Render a bulletin. Characters that a medium cannot carry are replaced."""
    import css_inline

    # Imports Slack's client, which takes a tenth of a second; most processes render no message.
    from adventureworks.messaging import slack_blocks

    bulletin = map_texts(bulletin, plain)
    address = page_address(ui_url, bulletin.page)
    link = bulletin.link or language.text("Open the dashboard")
    values = {
        "b": bulletin,
        "t": language.text,
        "language": language.code,
        "address": address,
        "link": link,
        "chart": CHART,
        "number": language.number,
        "as_text": as_text,
        "breakable": _breakable,
    }
    environment = _environment()
    page = environment.get_template("bulletin.html").render(values)
    return RenderedMessage(
        subject=cut(" ".join(f"[{PRODUCT}] {bulletin.subject or bulletin.title}".split()), _MAX_SUBJECT_LENGTH),
        html=css_inline.inline(page, keep_style_tags=True, load_remote_stylesheets=False),
        text=environment.get_template("bulletin.txt").render(values),
        images=(Attachment(CHART, "image/png", png(bulletin.chart)),) if bulletin.chart else (),
        attachments=bulletin.attachments,
        summary=bulletin.title,
        blocks=slack_blocks.blocks(bulletin, language, address, link),
    )


def page_address(ui_url: str, page: str) -> str:
    """Return the address of a page of the UI, or an empty string if the UI's address is unknown."""
    return f"{ui_url.rstrip('/')}/{page}" if ui_url and page else ""


def _breakable(value: str) -> Markup:
    """Return a text as HTML whose long names may break after an underscore, so that a table fits the mail's width."""
    from markupsafe import Markup, escape

    return Markup("_<wbr>").join(map(escape, value.split("_")))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader("adventureworks.messaging"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
