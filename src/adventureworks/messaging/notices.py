"""The notices in `ops.notice`: what a new version of a mart has to tell its owner, though nothing went wrong.

A notice is a digest: one message with everything that one run has to tell. Every function works inside the caller's
transaction and leaves the commit to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from psycopg.rows import dict_row

from adventureworks.incidents.ledger import Connection
from adventureworks.incidents.privacy import plain_line

KEPT_DAYS = 7
"""A notice that a channel did not take for so long is no longer news, and is not sent to it."""

_LONGEST_CELL = 120


@dataclass(frozen=True)
class Listing:
    """A part of a digest: a heading and rows, the most important first. The first cell of a row names its subject."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Digest:
    """What is to be told; `next_step` says what to type to see more."""

    kind: str
    subject: str
    listings: tuple[Listing, ...]
    next_step: str


@dataclass(frozen=True)
class Notice:
    """A digest that a run left for the owner of an asset."""

    notice_id: str
    asset: str
    owner: str
    run_id: str
    created: datetime
    digest: Digest
    told: Mapping[str, str]
    """Channel -> when it took the message."""


def write(connection: Connection, digest: Digest, *, asset: str, owner: str, run_id: str) -> None:
    """Keeps a digest until it is told. A run leaves one notice of an asset, however often it is run."""
    payload = {
        "listings": [
            {
                "heading": listing.heading,
                "columns": listing.columns,
                "rows": [[plain_line(cell, longest=_LONGEST_CELL) for cell in row] for row in listing.rows],
            }
            for listing in digest.listings
        ],
        "next_step": digest.next_step,
    }
    connection.execute(
        "insert into ops.notice (notice_id, kind, asset, owner, subject, payload, run_id)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict (asset, run_id) do nothing",
        (
            str(uuid4()),
            digest.kind,
            asset,
            owner,
            plain_line(digest.subject),
            json.dumps(payload, ensure_ascii=False),
            run_id,
        ),
    )


def of_run(connection: Connection, run_id: str) -> list[Notice]:
    """The notices that a run left."""
    return _notices(connection, "select * from ops.notice where run_id = %(run_id)s order by asset", {"run_id": run_id})


def take_untold(connection: Connection, channel: str) -> list[Notice]:
    """The notices that are not in the outbox for the channel yet, oldest first; locked until the transaction ends.

    What another process is telling just now is left to it.
    """
    query = (
        "select * from ops.notice where created > current_timestamp - make_interval(days => %(days)s)"
        " order by created, notice_id for update skip locked"
    )
    found = _notices(connection, query, {"days": KEPT_DAYS})
    return [notice for notice in found if channel not in notice.told]


def clear(connection: Connection, before: datetime) -> None:
    """Forgets notices that were left before a moment."""
    connection.execute("delete from ops.notice where created < %s", (before,))


def mark_told(connection: Connection, channel: str, notice: Notice) -> None:
    """Remembers that the message is in the outbox for the channel, as `take_untold` gave (and locked) it."""
    connection.execute(
        "update ops.notice set told = jsonb_set(told::jsonb, array[%s], to_jsonb(current_timestamp))::varchar"
        " where notice_id = %s",
        (channel, notice.notice_id),
    )


def _notices(connection: Connection, query: str, values: Mapping[str, Any]) -> list[Notice]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_notice(row) for row in cursor.execute(query, values).fetchall()]


def _notice(row: Mapping[str, Any]) -> Notice:
    payload = json.loads(row["payload"])
    listings = tuple(
        Listing(part["heading"], tuple(part["columns"]), tuple(tuple(cells) for cells in part["rows"]))
        for part in payload["listings"]
    )
    return Notice(
        notice_id=row["notice_id"],
        asset=row["asset"],
        owner=row["owner"],
        run_id=row["run_id"],
        created=row["created"],
        digest=Digest(row["kind"], row["subject"], listings, payload["next_step"]),
        told=json.loads(row["told"]),
    )
