"""The notices in `ops.notice`: news for a mart's owner about a new version, without anything having failed.

A notice holds one digest: a single message with all the news from one run. Every function runs in the caller's
transaction and does not commit.
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
"""A notice older than this is out of date and is not queued any more."""

_MAX_CELL_LENGTH = 120


@dataclass(frozen=True)
class Listing:
    """A section of a digest: rows, the most important first, whose first cell names their subject.

    In a stored digest, heading and columns are codes, and the cells are raw values (see `notice_wording`).
    """

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Digest:
    """The content of a notice. `kind` determines its words; `command` shows more."""

    kind: str
    listings: tuple[Listing, ...]
    command: str
    recorded_subject: str = ""
    """The subject of a digest that an older version stored as finished sentences."""


@dataclass(frozen=True)
class Notice:
    """A digest that a run created for the owner of an asset."""

    notice_id: str
    asset: str
    owner: str
    run_id: str
    created: datetime
    digest: Digest
    queued_at: Mapping[str, str]
    """Channel -> when the notice's messages were added to the outbox."""


def write(records: Connection, digest: Digest, *, asset: str, owner: str, run_id: str) -> None:
    """Store a digest until it is sent. A run creates one notice per asset, however often it is repeated."""
    payload = {
        "listings": [
            {
                "heading": listing.heading,
                "columns": listing.columns,
                "rows": [[plain_line(cell, longest=_MAX_CELL_LENGTH) for cell in row] for row in listing.rows],
            }
            for listing in digest.listings
        ],
        "next_step": digest.command,
    }
    records.execute(
        "insert into ops.notice (notice_id, kind, asset, owner, payload, run_id)"
        " values (%s, %s, %s, %s, %s, %s) on conflict (asset, run_id) do nothing",
        (
            str(uuid4()),
            digest.kind,
            asset,
            owner,
            json.dumps(payload, ensure_ascii=False),
            run_id,
        ),
    )


def of_run(records: Connection, run_id: str) -> list[Notice]:
    """Return the notices that a run created."""
    return _notices(records, "select * from ops.notice where run_id = %(run_id)s order by asset", {"run_id": run_id})


def take_pending(records: Connection, channel: str) -> list[Notice]:
    """Return the notices that are not yet in the outbox for the channel, oldest first, and lock them.

    The locks last until the transaction ends; rows locked by another process are skipped.
    """
    query = (
        "select * from ops.notice where created > current_timestamp - make_interval(days => %(days)s)"
        " order by created, notice_id for update skip locked"
    )
    found = _notices(records, query, {"days": KEPT_DAYS})
    return [notice for notice in found if channel not in notice.queued_at]


def clear(records: Connection, before: datetime) -> None:
    """Delete the notices created before a point in time."""
    records.execute("delete from ops.notice where created < %s", (before,))


def mark_queued(records: Connection, channel: str, notice: Notice) -> None:
    """Record that the messages for the channel are in the outbox. The notice must come from `take_pending`."""
    records.execute(
        "update ops.notice set queued_at = jsonb_set(queued_at::jsonb, array[%s], to_jsonb(current_timestamp))::varchar"
        " where notice_id = %s",
        (channel, notice.notice_id),
    )


def _notices(records: Connection, query: str, values: Mapping[str, Any]) -> list[Notice]:
    with records.cursor(row_factory=dict_row) as cursor:
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
        digest=Digest(row["kind"], listings, payload["next_step"], payload.get("subject", "")),
        queued_at=json.loads(row["queued_at"]),
    )
