"""What holds for the versions of the marts after any events: computed once, and from inputs that fit together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from adventureworks.catalog import MARTS

Query = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]


def violations(query: Query, marts: Sequence[str], since: datetime) -> Iterator[str]:
    """Yield what is wrong with the versions of these marts in the records.

    The inputs are compared for the versions published after `since`. `query` runs a statement on the records.
    """
    published = query(
        "select asset, version, inputs, model, as_of, published_at > %s, confirmed_by is not null from ops.publication"
        " where asset = any(%s)",
        (since, list(marts)),
    )
    seen: dict[tuple[Any, ...], int] = {}
    for asset, version, inputs, model, as_of, *_ in published:
        other = seen.setdefault((asset, inputs, model, as_of), version)
        if other != version:
            yield f"{asset}: versions {other} and {version} were computed from the same inputs"
    of = {(asset, version): (json.loads(inputs), as_of) for asset, version, inputs, _, as_of, _, _ in published}
    newest = {asset: max(version for name, version in of if name == asset) for asset, _ in of}
    # A confirmed version lists the inputs of its last computation, not those that earlier readers saw with it.
    confirmed = {(asset, version) for asset, version, *_, is_confirmed in published if is_confirmed}
    for asset, version, _, _, _, is_new, _ in published:
        inputs, as_of = of[asset, version]
        for mart in inputs.keys() & MARTS.keys() if is_new else ():
            if (mart, inputs[mart]) in confirmed and version < newest[asset]:
                continue
            mart_inputs, its_day = of[mart, inputs[mart]]
            if its_day != as_of:
                yield f"{asset} of {as_of} reads {mart} of {its_day}"
            shared = mart_inputs.keys() & inputs.keys()
            if any(mart_inputs[name] != inputs[name] for name in shared):
                yield f"{asset} version {version} combines {mart} with newer inputs"
