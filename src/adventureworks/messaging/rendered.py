"""A rendered message, independent of its recipients."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import escape
from typing import Any

_MAX_HEADER_LENGTH = 150
"""Slack's limit for the text of a header block."""
_TITLE = re.compile(r"(<(?:h1\b[^>]*|title)>)")


@dataclass(frozen=True)
class Attachment:
    """A file sent with a mail. Inline images are referenced by `cid:NAME`."""

    name: str
    media_type: str
    """For example `image/png`."""
    content: bytes


@dataclass(frozen=True)
class RenderedMessage:
    """A message rendered for mail and, optionally, for Slack.

    `images` are shown inline in the mail (`<img src="cid:NAME">`), `attachments` are separate files. `blocks` are
    Slack's Block Kit, with `summary` for notifications and screen readers; without blocks nothing is sent to Slack.
    """

    subject: str
    html: str
    text: str
    images: tuple[Attachment, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    summary: str = ""
    blocks: tuple[dict[str, Any], ...] = ()

    def with_environment(self, environment: str) -> RenderedMessage:
        """Return the message with the environment's name before its subject and titles; unchanged if it is empty."""
        if not environment:
            return self
        prefix = f"[{environment}] "
        blocks = [
            {**block, "text": {**block["text"], "text": f"{prefix}{block['text']['text']}"[:_MAX_HEADER_LENGTH]}}
            if block["type"] == "header"
            else block
            for block in self.blocks
        ]
        return replace(
            self,
            subject=prefix + self.subject,
            html=_TITLE.sub(rf"\g<1>{escape(prefix)}", self.html),
            text=prefix + self.text,
            summary=prefix + self.summary if self.summary else "",
            blocks=tuple(blocks),
        )
