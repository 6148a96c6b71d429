"""Results of slow pure functions, kept in the warehouse from one build to the next.

A statistical model whose training data did not change is not fitted again, whichever process needs its result.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache, wraps
from importlib.metadata import version
from pathlib import Path

from adventureworks.warehouse.postgres import Connection

Result = tuple[float, ...]
Function = Callable[[str, Result], Result]


class _Store:
    """The stored results, read when first needed, and those that a build adds or uses."""

    def __init__(self, records: Connection) -> None:
        self._records = records
        self._kept: dict[str, str] | None = None
        self._new: dict[str, str] = {}
        self._used: set[str] = set()

    def find(self, key: str) -> Result | None:
        if self._kept is None:
            self._kept = dict(self._records.execute("select key, result from ops.memo").fetchall())
        if key not in self._kept:
            return None
        self._used.add(key)
        return tuple(json.loads(self._kept[key]))

    def add(self, key: str, result: Result) -> None:
        self._new[key] = json.dumps(result)

    def save(self) -> None:
        if self._new:
            self._records.execute(
                "insert into ops.memo (key, result) select * from unnest(%s::varchar[], %s::varchar[])"
                " on conflict do nothing",
                (list(self._new), list(self._new.values())),
            )
        if self._used:
            self._records.execute(
                "update ops.memo set used_at = current_timestamp where key = any(%s)"
                " and used_at < current_timestamp - interval '1 day'",
                (list(self._used),),
            )


_store: ContextVar[_Store | None] = ContextVar("store", default=None)


@contextmanager
def memoizing(records: Connection) -> Iterator[None]:
    """Let functions marked `@memoized` reuse stored results, and store new ones in the caller's transaction."""
    store = _Store(records)
    token = _store.set(store)
    try:
        yield
    finally:
        _store.reset(token)
    store.save()


def memoized(*libraries: str) -> Callable[[Function], Function]:
    """Mark a pure function whose stored results are reused within `memoizing`; elsewhere only those of this process.

    A change to the function's module, or to the version of one of the libraries, invalidates its stored results.
    """

    def mark(function: Function) -> Function:
        code = hashlib.sha256(Path(inspect.getfile(function)).read_bytes()).hexdigest()
        origin = " ".join([code, function.__name__, *map(version, libraries)])
        in_process = lru_cache(maxsize=8192)(function)

        @wraps(in_process)
        def reused(name: str, past: Result) -> Result:
            store = _store.get()
            if store is None:
                return in_process(name, past)
            key = hashlib.sha256(f"{origin} {name} {past}".encode()).hexdigest()
            result = store.find(key)
            if result is None:
                result = in_process(name, past)
                store.add(key, result)
            return result

        return reused

    return mark


def clear(records: Connection, before: datetime) -> None:
    """Delete the results that have not been used since this time."""
    records.execute("delete from ops.memo where used_at < %s", (before,))
