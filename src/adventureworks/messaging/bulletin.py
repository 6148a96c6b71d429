"""A message as data, and the letter that is made of it: HTML that mail programs show well, a text to read, Slack."""

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
from adventureworks.texts.plain import each_text, plain

if TYPE_CHECKING:
    from jinja2 import Environment

PRODUCT = "AdventureWorks"
MOST_ROWS = 200
MAIN, BAD, MIND, GOOD = "#0550ae", "#b42318", "#8a5300", "#1a7f37"
CHART = "chart.png"

# Slack's limits: https://api.slack.com/reference/block-kit/blocks
_MOST_FIELDS = 10
_MOST_LISTINGS = 4
_SLACK_ROWS = 40
_LONGEST_HEADER = 150
_LONGEST_SECTION = 3000
_LONGEST_FIELD = 2000
_LONGEST_LINE = 400
_LONGEST_SUBJECT = 160
_HALF_AN_ENTITY = re.compile(r"&[a-z]*$")


@dataclass(frozen=True)
class Figure:
    """A headline figure: its name, the figure, and what to compare it with. All ready to be shown."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Listing:
    """A table: a heading, names of the columns, rows ready to be shown, the most important first."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    """How many of the first columns are texts, which say by themselves what they are; the others are figures."""
    most: int = MOST_ROWS
    """So many rows are shown; how many more there are is said."""

    def details(self, row: Sequence[str]) -> str:
        """All but the first cell of a row in one line, the figures with the names of their columns."""
        cells = list(zip(self.columns, row, strict=True))
        texts = [cell for _, cell in cells[1 : self.texts] if cell]
        return "; ".join([*texts, *(f"{column.lower()} {cell}" for column, cell in cells[self.texts :] if cell)])


@dataclass(frozen=True)
class Bulletin:
    """What a message says. `chart_text` says what the chart shows, for who does not see it."""

    title: str
    about: str
    figures: tuple[Figure, ...]
    listings: tuple[Listing, ...] = ()
    notes: tuple[str, ...] = ()
    chart: Spec | None = field(default=None, hash=False)
    chart_text: str = ""
    command: str = ""
    link: str = ""
    """What the link says; empty: to open the dashboard."""
    page: str = ""
    """Where it leads to, below the address of the UI."""
    subject: str = ""
    """Of the mail; empty: the title."""
    colour: str = MAIN


def render(
    bulletin: Bulletin, language: Language, ui_url: str = "", *, attachments: Sequence[Attachment] = ()
) -> RenderedMessage:
    """The bulletin as a letter, whatever the characters of its texts."""
    import css_inline

    bulletin = each_text(bulletin, plain)
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
        subject=_cut(" ".join(f"[{PRODUCT}] {bulletin.subject or bulletin.title}".split()), _LONGEST_SUBJECT),
        html=css_inline.inline(page, keep_style_tags=True, load_remote_stylesheets=False),
        text=environment.get_template("bulletin.txt").render(values),
        images=(Attachment(CHART, "image/png", png(bulletin.chart)),) if bulletin.chart else (),
        attachments=tuple(attachments),
        summary=bulletin.title,
        blocks=tuple(_blocks(bulletin, language, address, link)),
    )


def page_address(ui_url: str, page: str) -> str:
    """The address of a page of the UI; empty without an address of the UI."""
    return f"{ui_url.rstrip('/')}/{page}" if ui_url and page else ""


def escaped(text: str) -> str:
    """A text that Slack shows as it is: no mentions, no links, no markup of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """A text that Slack shows as something to type."""
    return f"`{escaped(text).replace('`', chr(39))}`"


def _blocks(bulletin: Bulletin, language: Language, address: str, link: str) -> Iterator[dict[str, Any]]:
    title = {"type": "plain_text", "text": _cut(" ".join(bulletin.title.split()), _LONGEST_HEADER), "emoji": False}
    yield {"type": "header", "text": title}
    if bulletin.about:
        yield _section([escaped(bulletin.about)])
    if bulletin.figures:
        shown = [
            f"*{escaped(figure.name)}*\n{escaped(figure.value)}" + (f"\n{escaped(figure.note)}" if figure.note else "")
            for figure in bulletin.figures[:_MOST_FIELDS]
        ]
        yield {"type": "section", "fields": [_mrkdwn(text, _LONGEST_FIELD) for text in shown]}
    for listing in bulletin.listings[:_MOST_LISTINGS]:
        yield from (_section([part]) for part in _parts(_lines(listing, language)))
    if bulletin.notes:
        yield _section([escaped(note) for note in bulletin.notes])
    if bulletin.command:
        yield _section([f"*{language.text('Next')}* {_with_command(bulletin.command)}"])
    if address:
        yield {"type": "context", "elements": [_mrkdwn(f"<{escaped(address)}|{link}>", _LONGEST_FIELD)]}


def _lines(listing: Listing, language: Language) -> Iterator[str]:
    """The listing as lines, cut at a number of them with a count of the rest."""
    yield f"*{escaped(listing.heading)}* ({language.number(len(listing.rows))})"
    for row in listing.rows[:_SLACK_ROWS]:
        yield _cut_markup(f"• *{escaped(row[0])}* {escaped(listing.details(row))}", _LONGEST_LINE)
    more = len(listing.rows) - _SLACK_ROWS
    if more > 0:
        yield language.text("And {count} more.", count=language.number(more))


def _parts(lines: Iterable[str]) -> Iterator[str]:
    """The lines in as few texts as a section's limit allows."""
    part = ""
    for line in lines:
        if part and len(part) + 1 + len(line) > _LONGEST_SECTION:
            yield part
            part = ""
        part = f"{part}\n{line}" if part else line
    yield part


def _with_command(text: str) -> str:
    words, command, arguments = text.partition("adventureworks ")
    return f"{escaped(words)}{code(command + arguments)}" if command else escaped(text)


def _section(lines: Sequence[str]) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn("\n".join(lines), _LONGEST_SECTION)}


def _mrkdwn(text: str, longest: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": _cut_markup(text, longest), "verbatim": True}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _cut_markup(text: str, longest: int) -> str:
    """Cuts a text of `escaped` parts; half an entity would be shown as it is."""
    return text if len(text) <= longest else f"{_HALF_AN_ENTITY.sub('', text[: longest - 1])}…"


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
