"""What changed between two versions of a mart."""

from __future__ import annotations

from dataclasses import dataclass

from adventureworks.catalog import MARTS
from adventureworks.due import NO_REASON
from adventureworks.texts import Phrases, phrase
from adventureworks.warehouse import publication
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.publication import Publication, Record


@dataclass(frozen=True)
class Cause:
    """What changed from one version of a mart to a later one."""

    changes: tuple[Record, ...]
    """The versions of its inputs, newest first."""
    others: Phrases
    """Other things that changed."""


def cause_of(records: Connection, newest: Publication, before: Publication) -> Cause:
    """Return what changed between two versions of an asset. A source table has no inputs, so no cause is known."""
    others = NO_REASON
    if newest.model is not None and newest.model != before.model:
        others += phrase("the model, contract or checks changed")
    if newest.as_of != before.as_of and newest.as_of is not None and newest.asset in MARTS:
        others += phrase("the business date moved to {day}", day=newest.as_of)
    return Cause(tuple(publication.records_between(records, before.inputs, newest.inputs)), others)
