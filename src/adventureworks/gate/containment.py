"""Isolation of faults: an error in a step that works on one table blocks that table only.

`contained` turns any error in such a step into TableBlocked, and `with_timeout` limits the wait for the source.
Errors that concern every table (a lost server, the end of the process) pass through unchanged.
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
    Step,
    TableBlocked,
    is_failure,
)
from adventureworks.warehouse import is_unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

_SYSTEM_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors of the operating system that would hit the next table as well."""


NO_ANSWER = "table_answers"
"""The rule that the source returns the state or the next rows of a table in time."""


class NoAnswer(ServiceUnavailable):
    """The source did not answer within the timeout. The request is still running, and its connection cannot be used."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The source did not answer within {seconds / 60:g} minutes.", Step("Check it:", "adventureworks doctor")
        )


@contextmanager
def contained(asset: str, rule: str, step: str, details: Callable[[], str] = str) -> Iterator[None]:
    """Convert an error in the block that concerns only this table to TableBlocked with this rule.

    `step` completes the sentence "it could not be …"; `details` returns more about the cause, such as the column.
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


def retry_without_faulty(step: Callable[[], T], block: Callable[[TableBlocked], None]) -> T:
    """Run a step of a whole batch, repeating it without each table that made it fail; return the step's result.

    `block` must ensure that the next attempt skips the table; otherwise TableBlocked is raised.
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
    """Return whether an error is unrelated to the current table: a lost server, a full disk, the end of the process."""
    if isinstance(error, StatementTimeout):
        return False
    return (
        not is_failure(error)
        or isinstance(error, ServiceUnavailable | CandidateLost | ConnectionError | TimeoutError)
        or is_unavailable(error)
        or (isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS)
    )


def reason(error: BaseException) -> str:
    """Describe an unexpected error without its own text, which may quote data and goes only to the log."""
    if isinstance(error, PlatformError):
        return str(error)
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}{f' (SQLSTATE {state})' if state else ''}. See the task's log for details."


def with_timeout(work: Callable[[], T], seconds: float) -> T:
    """Return the result of `work`. Raises NoAnswer after the timeout, since drivers cannot always be interrupted.

    Work that does not end continues in a thread that ends with the process.
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
    # The text of an error may quote a value; the stack trace does not.
    trace = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s could not be %s: %s\n%s", asset, step, type(error).__name__, trace)
