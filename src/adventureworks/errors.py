"""Errors that are shown to users. Each says in one line what happened and what to do next."""

import os
from dataclasses import dataclass

PROGRAM = "adventureworks"
COMMAND_VARIABLE = "ADVENTUREWORKS_COMMAND"
"""Variable with what a user types in place of `adventureworks`. It is not a setting, because an error about an invalid
setting names a command too."""


def as_typed(command: str) -> str:
    """Return a command as a user of this platform types it; anything but a command of `adventureworks` is unchanged.

    A command that was returned before is unchanged too.
    """
    program = os.environ.get(COMMAND_VARIABLE) or PROGRAM
    if command == program or command.startswith(f"{program} ") or not command.startswith(f"{PROGRAM} "):
        return command
    return f"{program}{command.removeprefix(PROGRAM)}"


@dataclass(frozen=True)
class Step:
    """What to do next: a sentence, a command or SQL statement to type, or a sentence that introduces a command.

    `command` does not depend on the platform, so it can be recorded. The text has it as a user types it (`as_typed`).
    """

    sentence: str = ""
    command: str = ""

    def __str__(self) -> str:
        return f"{self.sentence} {as_typed(self.command)}".strip()

    def __bool__(self) -> bool:
        return bool(self.sentence or self.command)


class PlatformError(Exception):
    """A problem that a user can fix.

    `cause` says what is wrong, `next_step` what to do about it; neither ever contains a secret. Messages show the
    command of a step as code.
    """

    def __init__(self, cause: str, next_step: str | Step = "") -> None:
        self.cause = cause.strip()
        self.next_step = next_step if isinstance(next_step, Step) else Step(next_step.strip())
        super().__init__(f"{self.cause} {self.next_step}".strip())


class TableBlocked(PlatformError):
    """A table that may not be published because it breaks `rule`. Its last good version stays.

    Never retried: it is final until the source changes.
    """

    def __init__(self, table: str, rule: str, cause: str, next_step: str | Step = "") -> None:
        self.table = table
        self.rule = rule
        self.detail = cause.strip()
        super().__init__(f"{table}: {cause}", next_step)

    def __str__(self) -> str:
        return f"{self.cause} {self.next_step or Step('For details:', f'adventureworks status {self.table}')}"


class CandidateLost(PlatformError):
    """Staged rows that are not those that were loaded or built. They must be staged and judged again."""


class ServiceUnavailable(PlatformError):
    """A database or server that does not answer. A later retry may succeed."""


class Overtaken(ServiceUnavailable):
    """An attempt of a task that goes on although another one has begun: it must not write anything more."""


class StatementTimeout(ServiceUnavailable):
    """A statement that the server cancelled because it, or a lock that it waited for, took too long.

    A retry may succeed. If the statement concerns one table, it is a fault of that table: the server does answer.
    """


def is_failure(error: BaseException) -> bool:
    """Return whether an exception is a failure of the current work, and not a request to end it.

    Some libraries fail with an exception that is not an `Exception`, such as a panic in Rust code. Requests to end come
    from Python or from Airflow, such as a task's timeout.
    """
    if isinstance(error, Exception):
        return True
    ends_process = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
    return not ends_process and not type(error).__module__.startswith("airflow.")
