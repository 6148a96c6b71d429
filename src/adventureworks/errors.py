"""The errors that a person may meet. Each says what happened and what to do next, in one line."""


class PlatformError(Exception):
    """Something a person can fix.

    `cause` says what is wrong, `next_step` what to do about it; neither ever holds a secret.
    """

    def __init__(self, cause: str, next_step: str = "") -> None:
        self.cause = cause.strip()
        self.next_step = next_step.strip()
        super().__init__(f"{self.cause} {self.next_step}".strip())


class TableBlocked(PlatformError):
    """A table that may not be published: `rule` is broken, the last good version stays.

    Final until the source changes: never retried.
    """

    def __init__(self, table: str, rule: str, cause: str, next_step: str = "") -> None:
        self.table = table
        self.rule = rule
        self.detail = cause.strip()
        super().__init__(f"{table}: {cause}", next_step or f"See it: adventureworks status {table}")


class CandidateLost(PlatformError):
    """Staged rows that are not those that were loaded or built: stage them again, and judge them again."""


class ServiceUnavailable(PlatformError):
    """A database or server that does not answer: worth another try later."""


class StatementTimeout(ServiceUnavailable):
    """A statement that the server ended because it, or a lock that it waited for, took too long.

    Worth another try. Where a single table is worked on, it is a fault of that table: the server does answer.
    """


def is_failure(error: BaseException) -> bool:
    """Whether an exception is a failure of the work at hand, and not a request to end it.

    Some libraries fail with what is no `Exception`, such as a panic of Rust code. Requests are those of Python, and
    Airflow's, such as the timeout of a task.
    """
    if isinstance(error, Exception):
        return True
    asked = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
    return not asked and not type(error).__module__.startswith("airflow.")
