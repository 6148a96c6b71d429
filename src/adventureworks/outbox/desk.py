"""Where messages are addressed: who is told over which channel, in which language."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from adventureworks.outbox.routes import Group, Routes

EMAIL, SLACK = "email", "slack"


@dataclass(frozen=True)
class Address:
    """Where one recipient is told, and how."""

    channel: str
    recipient: str
    language: str
    time_zone: str

    @property
    def who(self) -> str:
        """The name under which is noted what this recipient was told."""
        return f"{self.channel}/{self.recipient}"


@dataclass(frozen=True)
class Desk:
    """What the messages are worded with: who is told, over which channels there are, with links to this UI."""

    routes: Routes
    channels: Collection[str]
    slack_connection: str
    ui_url: str

    def addresses(self, owner: str, channel: str) -> list[Address]:
        """Where those who hear of this owner's assets are told over a channel."""
        groups = [group for _, group in self.routes.groups_of(owner)]
        return list(dict.fromkeys(address for group in groups for address in self.of_group(group, channel)))

    def of_group(self, group: Group, channel: str) -> Iterator[Address]:
        """Where a group is told over a channel."""
        recipients: Iterable[str] = group.emails if channel == EMAIL else [group.slack or self.slack_connection]
        for recipient in recipients:
            yield Address(channel, recipient, group.language, group.time_zone)
