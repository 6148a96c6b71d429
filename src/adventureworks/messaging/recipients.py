"""The recipients of messages: address, channel, language and time zone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from adventureworks.messaging.routes import Group, Routes

EMAIL, SLACK = "email", "slack"


@dataclass(frozen=True)
class Recipient:
    """An address on a channel, with its language and time zone, and whether it is for operators."""

    channel: str
    address: str
    language: str
    time_zone: str
    is_operator: bool

    @property
    def key(self) -> str:
        """Return `channel/address`, which identifies the recipient in the database."""
        return f"{self.channel}/{self.address}"


@dataclass(frozen=True)
class Recipients:
    """Resolves owners and groups to recipients, based on the routes and the configured channels."""

    routes: Routes
    channels: Collection[str]
    slack_connection: str
    ui_url: str

    def of_owner(self, owner: str, channel: str) -> list[Recipient]:
        """Return an owner's recipients on a channel, without duplicates."""
        groups = [group for _, group in self.routes.groups_of(owner)]
        return list(dict.fromkeys(recipient for group in groups for recipient in self.of_group(group, channel)))

    def of_group(self, group: Group, channel: str) -> Iterator[Recipient]:
        """Yield a group's recipients on a channel."""
        addresses: Iterable[str] = group.emails if channel == EMAIL else [group.slack or self.slack_connection]
        for address in addresses:
            yield Recipient(channel, address, group.language, group.time_zone, group.operators)
