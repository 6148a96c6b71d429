"""What is sent: a message without its recipients."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import escape
from typing import Any

_LONGEST_HEADER = 150
"""Of Slack's header blocks."""
_TITLE = re.compile(r"(<(?:h1\b[^>]*|title)>)")


@dataclass(frozen=True)
class Attachment:
    """A file that travels with a mail. An image that the text shows is named by its `cid:`."""

    name: str
    media_type: str
    """For example `image/png`."""
    content: bytes


@dataclass(frozen=True)
class RenderedMessage:
    """A message, worded for mail and, where a team hears of it too, for Slack.

    `images` are shown in the text of the mail (`<img src="cid:NAME">`), `attachments` are for keeping. `blocks` are
    Slack's Block Kit, with `summary` for notifications and screen readers; without blocks nothing goes to Slack.
    """

    subject: str
    html: str
    text: str
    images: tuple[Attachment, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    summary: str = ""
    blocks: tuple[dict[str, Any], ...] = ()

    def of_environment(self, environment: str) -> RenderedMessage:
        """The letter with the environment that it comes from before its subject and its titles; none: production."""
        if not environment:
            return self
        mark = f"[{environment}] "
        blocks = [
            {**block, "text": {**block["text"], "text": f"{mark}{block['text']['text']}"[:_LONGEST_HEADER]}}
            if block["type"] == "header"
            else block
            for block in self.blocks
        ]
        return replace(
            self,
            subject=mark + self.subject,
            html=_TITLE.sub(rf"\g<1>{escape(mark)}", self.html),
            text=mark + self.text,
            summary=mark + self.summary if self.summary else "",
            blocks=tuple(blocks),
        )
