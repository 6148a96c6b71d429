"""When a change of the source starts the ingestion: at once, after a quiet time, and again if the ingestion fails."""

from __future__ import annotations

QUIET_TIMES_AT_MOST = 3
"""If the source never stays quiet, a change waits at most this many quiet times."""
LEAST_PAUSE_SECONDS = 60.0
"""After a failed ingestion, the next one waits this long or one quiet time, whichever is longer."""
LAST_PAUSE_SECONDS = 900.0


class Batching:
    """Decides after each poll of the source whether to start the ingestion.

    The state is in memory. A restart costs one quiet time, or one ingestion that finds nothing.
    """

    def __init__(self, quiet_seconds: float) -> None:
        """`quiet_seconds`: how long the source must stay the same before its changes are ingested together."""
        self._quiet_seconds = quiet_seconds
        self._seen: str | None = None
        self._seen_since = 0.0
        self._waiting_since: float | None = None
        self._started_at = self._pause = 0.0

    def starts(self, difference: str | None, now: float) -> bool:
        """Return whether the ingestion starts now.

        `difference` represents how the source differs from its last reading, None if it does not. `now` is in seconds.
        """
        if difference != self._seen:
            self._seen, self._seen_since = difference, now
            self._pause = max(LEAST_PAUSE_SECONDS, self._quiet_seconds)
            self._waiting_since = now if self._waiting_since is None else self._waiting_since
        if difference is None:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            # An ingestion was started for this difference, and failed if the difference remains.
            starts = now - self._started_at > self._pause
            self._pause = max(self._pause, min(2 * self._pause, LAST_PAUSE_SECONDS)) if starts else self._pause
        else:
            is_quiet = now - self._seen_since >= self._quiet_seconds
            starts = is_quiet or now - self._waiting_since >= QUIET_TIMES_AT_MOST * self._quiet_seconds
        if starts:
            self._started_at, self._waiting_since = now, None
        return starts
