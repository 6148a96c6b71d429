"""How a message looks in Slack: a bulletin as blocks of Slack's Block Kit, within its limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from adventureworks.texts import Language
from adventureworks.texts.plain import cut

if TYPE_CHECKING:
    from adventureworks.errors import Step
    from adventureworks.messaging.bulletin import Bulletin, Listing

_MAX_LISTINGS = 4
_MAX_ROWS = 40
_MAX_LINE_LENGTH = 400
_MAX_FIELD_LENGTH = 2000
"""Slack's limit for a field of a section and for an element of a context, which its client does not check."""
_INCOMPLETE_ENTITY = re.compile(r"&[a-z]*$")


def blocks(bulletin: Bulletin, language: Language, address: str, link: str) -> tuple[dict[str, Any], ...]:
    """Return the blocks as JSON objects; `address` is the target of the link, or empty if there is none."""
    return tuple(block.to_dict() for block in _blocks(bulletin, language, address, link))


def _blocks(bulletin: Bulletin, language: Language, address: str, link: str) -> Iterator[Block]:
    title = cut(" ".join(bulletin.title.split()), HeaderBlock.text_max_length)
    yield HeaderBlock(text=PlainTextObject(text=title, emoji=False))
    if bulletin.about:
        yield _section([escaped(bulletin.about)])
    if bulletin.figures:
        shown = [
            f"*{escaped(figure.name)}*\n{escaped(figure.value)}" + (f"\n{escaped(figure.note)}" if figure.note else "")
            for figure in bulletin.figures[: SectionBlock.fields_max_length]
        ]
        yield SectionBlock(fields=[_markup(text, _MAX_FIELD_LENGTH) for text in shown])
    for listing in bulletin.listings[:_MAX_LISTINGS]:
        yield from (_section([part]) for part in _parts(_lines(listing, language)))
    if bulletin.notes:
        yield _section([escaped(note) for note in bulletin.notes])
    if bulletin.next_steps:
        yield _section([f"*{language.text('Next')}*", *(_step(step) for step in bulletin.next_steps)])
    if address:
        yield ContextBlock(elements=[_markup(f"<{escaped(address)}|{link}>", _MAX_FIELD_LENGTH)])


def escaped(text: str) -> str:
    """Escape a text for Slack, so that it cannot contain mentions, links or markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Format a text as inline code for Slack."""
    return f"`{escaped(text).replace('`', chr(39))}`"


def _step(step: Step) -> str:
    return f"{escaped(step.sentence)} {code(step.command) if step.command else ''}".strip()


def _lines(listing: Listing, language: Language) -> Iterator[str]:
    """Yield a listing as lines of Slack markup, truncated to the maximum number of rows with a count of the rest."""
    yield f"*{escaped(listing.heading)}* ({language.number(len(listing.rows))})"
    for row in listing.rows[:_MAX_ROWS]:
        details = listing.details(row, language.text("; "))
        yield _cut_markup(f"• *{escaped(row[0])}* {escaped(details)}", _MAX_LINE_LENGTH)
    more = len(listing.rows) - _MAX_ROWS
    if more > 0:
        yield language.text("And {count} more.", count=language.number(more))


def _parts(lines: Iterable[str]) -> Iterator[str]:
    """Join lines into as few texts as a section's size limit allows."""
    part = ""
    for line in lines:
        if part and len(part) + 1 + len(line) > SectionBlock.text_max_length:
            yield part
            part = ""
        part = f"{part}\n{line}" if part else line
    yield part


def _section(lines: Sequence[str]) -> SectionBlock:
    return SectionBlock(text=_markup("\n".join(lines), SectionBlock.text_max_length))


def _markup(text: str, longest: int) -> MarkdownTextObject:
    return MarkdownTextObject(text=_cut_markup(text, longest), verbatim=True)


def _cut_markup(text: str, longest: int) -> str:
    """Truncate an `escaped` text without leaving an incomplete entity, which would be shown literally."""
    return text if len(text) <= longest else f"{_INCOMPLETE_ENTITY.sub('', text[: longest - 1])}…"
