"""Results of slow pure functions, kept in the warehouse from one build to the next.

A statistical model whose training data did not change is not fitted again, whichever process needs it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from adventureworks.warehouse.postgres import Connection

Result = tuple[float, ...]
KEPT = "90 days"
"""How long a result is kept after its last use."""


class _Store:
    """What is kept, and what this build adds or uses."""

    def __init__(self, connection: Connection) -> None:
        self._results: dict[str, str] = dict(connection.execute("select key, result from ops.memo").fetchall())
        self._new: dict[str, str] = {}
        self._used: set[str] = set()

    def find(self, key: str) -> Result | None:
        found = self._results.get(key)
        if found is None:
            return None
        self._used.add(key)
        return tuple(json.loads(found))

    def add(self, key: str, result: Result) -> None:
        self._new[key] = json.dumps(result)

    def save(self, connection: Connection) -> None:
        connection.execute(
            "insert into ops.memo (key, result) select * from unnest(%s::varchar[], %s::varchar[])"
            " on conflict do nothing",
            (list(self._new), list(self._new.values())),
        )
        connection.execute(
            "update ops.memo set used_at = current_timestamp where key = any(%s)"
            " and used_at < current_timestamp - interval '1 day'",
            (list(self._used),),
        )
        connection.execute(f"delete from ops.memo where used_at < current_timestamp - interval '{KEPT}'")


_store: ContextVar[_Store | None] = ContextVar("store", default=None)


@contextmanager
def remembering(connection: Connection) -> Iterator[None]:
    """Within the block, functions marked `@remembered` use the results that are kept, and keep what they compute."""
    store = _Store(connection)
    token = _store.set(store)
    try:
        yield
    finally:
        _store.reset(token)
    store.save(connection)


def remembered(function: Callable[[str, Result], Result]) -> Callable[[str, Result], Result]:
    """Mark a pure function: the same arguments are computed once per process, and once per warehouse in `remembering`.

    A change of the function's module makes every kept result void.
    """
    module = hashlib.sha256(Path(inspect.getfile(function)).read_bytes()).hexdigest()

    @lru_cache(maxsize=8192)
    def computed(name: str, past: Result) -> Result:
        store = _store.get()
        if store is None:
            return function(name, past)
        key = hashlib.sha256(f"{module} {function.__name__} {name} {past}".encode()).hexdigest()
        result = store.find(key)
        if result is None:
            result = function(name, past)
            store.add(key, result)
        return result

    return computed
