"""A message as data, and its rendering: HTML suitable for mail clients, plain text, and Slack blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from adventureworks.charts.rendering import png
from adventureworks.charts.theme import Spec
from adventureworks.messaging.rendered import Attachment, RenderedMessage
from adventureworks.texts import Language
from adventureworks.texts.plain import map_texts, plain

if TYPE_CHECKING:
    from jinja2 import Environment

PRODUCT = "AdventureWorks"
MAX_ROWS = 200
MAIN_COLOUR, ERROR_COLOUR, WARNING_COLOUR, SUCCESS_COLOUR = "#0550ae", "#b42318", "#8a5300", "#1a7f37"
CHART = "chart.png"

# Slack's limits: https://api.slack.com/reference/block-kit/blocks
_MAX_FIELDS = 10
_MAX_LISTINGS = 4
_MAX_SLACK_ROWS = 40
_MAX_HEADER_LENGTH = 150
_MAX_SECTION_LENGTH = 3000
_MAX_FIELD_LENGTH = 2000
_MAX_LINE_LENGTH = 400
_MAX_SUBJECT_LENGTH = 160
_INCOMPLETE_ENTITY = re.compile(r"&[a-z]*$")


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

    def details(self, row: Sequence[str]) -> str:
        """Return all but the first cell of a row as one line, with figures labelled by their column names."""
        cells = list(zip(self.columns, row, strict=True))
        texts = [cell for _, cell in cells[1 : self.text_columns] if cell]
        figures = [f"{column.lower()} {cell}" for column, cell in cells[self.text_columns :] if cell]
        return "; ".join([*texts, *figures])


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
    command: str = ""
    link: str = ""
    """Text of the link; default: open the dashboard."""
    page: str = ""
    """Target of the link, relative to the UI's address."""
    subject: str = ""
    """Subject of the mail; default: the title."""
    colour: str = MAIN_COLOUR


def render(
    bulletin: Bulletin, language: Language, ui_url: str = "", *, attachments: Sequence[Attachment] = ()
) -> RenderedMessage:
    """Render a bulletin. Characters that a medium cannot carry are replaced."""
    import css_inline

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
    }
    environment = _environment()
    page = environment.get_template("bulletin.html").render(values)
    return RenderedMessage(
        subject=_cut(" ".join(f"[{PRODUCT}] {bulletin.subject or bulletin.title}".split()), _MAX_SUBJECT_LENGTH),
        html=css_inline.inline(page, keep_style_tags=True, load_remote_stylesheets=False),
        text=environment.get_template("bulletin.txt").render(values),
        images=(Attachment(CHART, "image/png", png(bulletin.chart)),) if bulletin.chart else (),
        attachments=tuple(attachments),
        summary=bulletin.title,
        blocks=tuple(_blocks(bulletin, language, address, link)),
    )


def page_address(ui_url: str, page: str) -> str:
    """Return the address of a page of the UI, or an empty string if the UI's address is unknown."""
    return f"{ui_url.rstrip('/')}/{page}" if ui_url and page else ""


def escaped(text: str) -> str:
    """Escape a text for Slack, so that it cannot contain mentions, links or markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Format a text as inline code for Slack."""
    return f"`{escaped(text).replace('`', chr(39))}`"


def _blocks(bulletin: Bulletin, language: Language, address: str, link: str) -> Iterator[dict[str, Any]]:
    title = {"type": "plain_text", "text": _cut(" ".join(bulletin.title.split()), _MAX_HEADER_LENGTH), "emoji": False}
    yield {"type": "header", "text": title}
    if bulletin.about:
        yield _section([escaped(bulletin.about)])
    if bulletin.figures:
        shown = [
            f"*{escaped(figure.name)}*\n{escaped(figure.value)}" + (f"\n{escaped(figure.note)}" if figure.note else "")
            for figure in bulletin.figures[:_MAX_FIELDS]
        ]
        yield {"type": "section", "fields": [_mrkdwn(text, _MAX_FIELD_LENGTH) for text in shown]}
    for listing in bulletin.listings[:_MAX_LISTINGS]:
        yield from (_section([part]) for part in _parts(_lines(listing, language)))
    if bulletin.notes:
        yield _section([escaped(note) for note in bulletin.notes])
    if bulletin.command:
        yield _section([f"*{language.text('Next')}* {_with_command(bulletin.command)}"])
    if address:
        yield {"type": "context", "elements": [_mrkdwn(f"<{escaped(address)}|{link}>", _MAX_FIELD_LENGTH)]}


def _lines(listing: Listing, language: Language) -> Iterator[str]:
    """Yield a listing as lines of Slack markup, truncated to the maximum number of rows with a count of the rest."""
    yield f"*{escaped(listing.heading)}* ({language.number(len(listing.rows))})"
    for row in listing.rows[:_MAX_SLACK_ROWS]:
        yield _cut_markup(f"• *{escaped(row[0])}* {escaped(listing.details(row))}", _MAX_LINE_LENGTH)
    more = len(listing.rows) - _MAX_SLACK_ROWS
    if more > 0:
        yield language.text("And {count} more.", count=language.number(more))


def _parts(lines: Iterable[str]) -> Iterator[str]:
    """Join lines into as few texts as a section's size limit allows."""
    part = ""
    for line in lines:
        if part and len(part) + 1 + len(line) > _MAX_SECTION_LENGTH:
            yield part
            part = ""
        part = f"{part}\n{line}" if part else line
    yield part


def _with_command(text: str) -> str:
    words, command, arguments = text.partition("adventureworks ")
    return f"{escaped(words)}{code(command + arguments)}" if command else escaped(text)


def _section(lines: Sequence[str]) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn("\n".join(lines), _MAX_SECTION_LENGTH)}


def _mrkdwn(text: str, longest: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": _cut_markup(text, longest), "verbatim": True}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _cut_markup(text: str, longest: int) -> str:
    """Truncate an `escaped` text without leaving an incomplete entity, which would be shown literally."""
    return text if len(text) <= longest else f"{_INCOMPLETE_ENTITY.sub('', text[: longest - 1])}…"


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
