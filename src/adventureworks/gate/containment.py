"""One table's fault stays one table's: how steps of a batch that work on a single table fail, and how long they wait.

`contained` turns whatever goes wrong in such a step into TableBlocked, and `in_time` bounds the wait for the source.
What concerns every table (a lost server, the end of the process) passes through unchanged.
"""

from __future__ import annotations

import errno
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.errors import (
    CandidateLost,
    PlatformError,
    ServiceUnavailable,
    StatementTimeout,
    TableBlocked,
    is_failure,
)
from adventureworks.warehouse import is_lost

log = logging.getLogger(__name__)

T = TypeVar("T")

_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors of the system that the next table would meet as well."""


NO_ANSWER = "table_answers"
"""The rule that the source gives the state or the next rows of a table in time."""


class NoAnswer(ServiceUnavailable):
    """The source gave nothing within the limit. What was asked is still running, and its connection cannot be used."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The source gave no answer for {seconds / 60:g} minutes.", "Check it: adventureworks doctor")


@contextmanager
def contained(asset: str, rule: str, step: str, details: Callable[[], str] = str) -> Iterator[None]:
    """Raises TableBlocked, with this rule, for whatever fails inside and concerns this table alone.

    `step` ends the sentence "it could not be …"; `details` gives what else is known of the cause, such as the column.
    """
    try:
        yield
    except TableBlocked:
        raise
    except BaseException as error:
        if concerns_every_table(error):
            raise
        _log(asset, step, error)
        raise TableBlocked(asset, rule, f"it could not be {step}: {details() or reason(error)}") from error


def without_faulty(step: Callable[[], T], block: Callable[[TableBlocked], None]) -> T:
    """What a step of a whole batch returns; it is repeated without each table whose fault ended it.

    `block` has to see to it that the next try leaves the table out. Raises TableBlocked where it did not.
    """
    blocked: set[str] = set()
    while True:
        try:
            return step()
        except TableBlocked as fault:
            if fault.table in blocked:
                raise
            blocked.add(fault.table)
            block(fault)


def concerns_every_table(error: BaseException) -> bool:
    """Whether an error says nothing of the table that was worked on: a lost server, a full disk, the process's end."""
    if isinstance(error, StatementTimeout):
        return False
    return (
        not is_failure(error)
        or isinstance(error, ServiceUnavailable | CandidateLost | ConnectionError | TimeoutError)
        or is_lost(error)
        or (isinstance(error, OSError) and error.errno in _OF_THE_MACHINE)
    )


def reason(error: BaseException) -> str:
    """What is known of an error that nobody foresaw. Its own text may quote data, so the log alone has that."""
    if isinstance(error, PlatformError):
        return str(error)
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}{f' (SQLSTATE {state})' if state else ''}. The task's log tells more."


def in_time(work: Callable[[], T], seconds: float) -> T:
    """What `work` returns. Raises NoAnswer where that takes longer: no driver can be interrupted in every wait.

    Work that does not end is left to a thread that ends with the process.
    """
    outcome: SimpleQueue[tuple[list[T], BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put(([work()], None))
        except BaseException as error:
            outcome.put(([], error))

    Thread(target=run, name="adventureworks-source", daemon=True).start()
    try:
        result, error = outcome.get(timeout=seconds)
    except Empty:
        raise NoAnswer(seconds) from None
    if error is not None:
        raise error
    return result[0]


def _log(asset: str, step: str, error: BaseException) -> None:
    entry = SOURCE_TABLES.get(asset)
    if entry is None or not (entry.protected or entry.personal):
        log.error("%s could not be %s", asset, step, exc_info=error)
        return
    # The text of an error may quote a value; where it happened cannot.
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s could not be %s: %s\n%s", asset, step, type(error).__name__, where)
