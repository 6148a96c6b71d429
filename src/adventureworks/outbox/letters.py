"""What is sent: a message without its recipients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Enclosure:
    """A file that travels with a mail. An image that the text shows is named by its `cid:`."""

    name: str
    media_type: str
    """For example `image/png`."""
    content: bytes


@dataclass(frozen=True)
class Letter:
    """A message, worded for mail and, where a team hears of it too, for Slack.

    `images` are shown in the text of the mail (`<img src="cid:NAME">`), `attachments` are for keeping. `blocks` are
    Slack's Block Kit, with `summary` for notifications and screen readers; without blocks nothing goes to Slack.
    """

    subject: str
    html: str
    text: str
    images: tuple[Enclosure, ...] = ()
    attachments: tuple[Enclosure, ...] = ()
    summary: str = ""
    blocks: tuple[dict[str, Any], ...] = ()
