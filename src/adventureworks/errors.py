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


def is_failure(error: BaseException) -> bool:
    """Whether an exception is a failure of the work at hand, and not a request to end it.

    A panic of Rust code is such a failure, though no `Exception`; Airflow's timeout of a task is a request.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
