"""States of tables and marts for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from adventureworks.catalog import MARTS
from adventureworks.due import NO_REASON
from adventureworks.warehouse.state import AssetState


def state(asset: str, **changes: Any) -> AssetState:
    """Return the state of a table or mart that is published and up to date, except for the changes."""
    found = AssetState(
        asset=asset,
        kind="mart" if asset in MARTS else "source",
        version=1,
        published_at=datetime(2014, 7, 1, tzinfo=UTC),
        newest_change=None,
        rows=10,
        set_aside=0,
        verdict="passed",
        fresh=True,
        behind=NO_REASON,
        blocked_since=None,
        reads_blocked=(),
        lacks=(),
        broken_rules=(),
    )
    return replace(found, **changes)
