"""The incidents in `ops.incident`: opened, counted, acknowledged, resolved, and what each recipient was told of them.

Every function works inside the caller's transaction and leaves the commit to it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row

from adventureworks.incidents.privacy import plain_line, shown_key

Severity = Literal["warning", "error"]
Status = Literal["open", "acknowledged", "resolved"]
MOST_EXAMPLES = 3
SHORT_ID = 8
TOLD_OF_THE_END = "resolved"
HELD = "held"
"""What a recipient was told of an incident that a storm keeps for the next summary: nothing yet."""
TASK_RULE = "task_"
"""With it begins the rule that a task of a DAG ends well."""
BUILDING = ("build", "gate", "publish")
"""The tasks of an analysis that fail its marts when they fail."""
LATE = "is_fresh_in_time"
"""The rule that a mart follows its inputs in time."""
PER_MONTH = "deliver"
"""The task that delivers several months: what fails is an incident of each month."""
ShapeRule = Literal[
    "columns_stay_filled",
    "columns_keep_their_places",
    "columns_stay_diverse",
    "values_stay_in_range",
    "values_keep_their_form",
    "rows_come_once",
    "rows_stay",
    "segments_go_on",
]
SHAPE_RULES = frozenset(get_args(ShapeRule))
"""Rules about the shape of a change: a table that breaks one is blocked, or published with a warning."""
READ_LOG = "Read the task's log"
"""With it begins what to do about a failed task whose error does not say it better."""

IF_MEANT = "If it is meant:"
"""What stands in a next step before the command that accepts what was refused."""

_WEIGHT = {HELD: 0, "warning": 1, "error": 2}
_LONGEST_SUMMARY = 1000
_LONGEST_NAME = 80

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Finding:
    """Something that went wrong with an asset (or a DAG), as its finder saw it.

    `failed` of `total` rows break `rule`; None where the rule does not count rows. `examples` are keys of such rows:
    JSON maps of column and value, or texts that name their columns. `next_step` says what to type. `run_id` is
    `<dag>/<run>`.
    """

    asset: str
    rule: str
    severity: Severity
    summary: str
    next_step: str
    run_id: str
    owner: str
    failed: int | None = None
    total: int | None = None
    examples: tuple[str, ...] = ()
    cause: str = ""
    """The technical cause, if the summary quotes one: it is shown as it is, in whatever language the rest is."""
    since: datetime | None = None
    """The moment that the summary names, if it names one."""

    @property
    def fingerprint(self) -> str:
        """The cause: asset and rule."""
        return f"{self.asset}:{self.rule}"


@dataclass(frozen=True)
class Incident:
    """A cause that somebody must hear of once, and once more when it is over. Fit to be shown: see `privacy`."""

    incident_id: str
    asset: str
    rule: str
    owner: str
    severity: Severity
    status: Status
    summary: str
    failed: int | None
    total: int | None
    examples: tuple[str, ...]
    next_step: str
    run_id: str
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None
    seen_count: int
    notified: Mapping[str, str]
    """`channel/recipient` -> the severity that was told last, `held` or `resolved`."""
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    cause: str = ""
    since: datetime | None = None
    heard: Mapping[str, datetime] = field(default_factory=dict)
    """`channel/recipient` -> when a message about it was put into the outbox last."""
    times_worse: int = 0
    """How often it was a warning that became an error."""
    reminded_at: datetime | None = None
    """When all who knew were reminded last, before each recipient had his own entry in `heard`."""

    @property
    def short_id(self) -> str:
        """What people type to name it."""
        return self.incident_id[:SHORT_ID]

    def told_to(self, who: str) -> str | None:
        """What this recipient (`channel/recipient`) was told last; None if nothing ever."""
        # Before each recipient had its own entry, the channel's was that of all.
        return self.notified.get(who, self.notified.get(who.partition("/")[0]))

    def is_news_for(self, who: str) -> bool:
        """True if this recipient must be told: it is new or worse, or it is over and he knew, or should have known."""
        told = self.told_to(who)
        if self.status == "resolved":
            return told is not None and told != TOLD_OF_THE_END
        return told is None or _WEIGHT[told] < _WEIGHT[self.severity]

    def heard_by(self, who: str) -> datetime:
        """When a recipient who knows of it heard of it last."""
        return self.heard.get(who, self.reminded_at or self.first_seen)

    def is_known_to(self, who: str) -> bool:
        """True if this recipient was told of it."""
        return self.told_to(who) not in {None, HELD}


def report(connection: Connection, findings: Sequence[Finding]) -> list[Incident]:
    """Opens an incident per cause, or counts one that is open; returns those to be told about (new or worse)."""
    worst: dict[str, Finding] = {}
    for finding in findings:
        known = worst.get(finding.fingerprint)
        if known is None or _WEIGHT[finding.severity] >= _WEIGHT[known.severity]:
            worst[finding.fingerprint] = finding
    # In a fixed order, so that two reports at once wait for each other instead of blocking each other.
    told = [_open_or_count(connection, worst[fingerprint]) for fingerprint in sorted(worst)]
    return [incident for incident in told if incident is not None]


def resolve(connection: Connection, asset: str, keep: Collection[str] = (), run_id: str = "") -> list[Incident]:
    """Resolves the asset's open incidents whose rule is not in `keep`, and returns them; `run_id` saw the end."""
    return _resolve(connection, "not rule = any(%(rules)s)", asset, keep, run_id)


def resolve_rules(connection: Connection, asset: str, rules: Collection[str], run_id: str = "") -> list[Incident]:
    """Resolves the asset's open incidents of these rules, and returns them; `run_id` saw the end."""
    return _resolve(connection, "rule = any(%(rules)s)", asset, rules, run_id)


def _resolve(connection: Connection, condition: str, asset: str, rules: Collection[str], run_id: str) -> list[Incident]:
    query = (
        "update ops.incident set status = 'resolved', resolved_at = current_timestamp,"
        " run_id = case when %(run_id)s = '' then run_id else %(run_id)s end"
        f" where asset = %(asset)s and status <> 'resolved' and {condition} returning *"
    )
    return _incidents(connection, query, {"asset": asset, "rules": list(rules), "run_id": run_id})


def task_rule(task: str, month: str | None = None) -> str:
    """The rule that a task ends well; `month` ('YYYY-MM'): one that it delivers."""
    return f"{TASK_RULE}{task}:{month}" if month else f"{TASK_RULE}{task}"


def task_of(rule: str) -> tuple[str, str]:
    """The task that a rule of `task_rule` is about, and its month; empty: none."""
    task, _, month = rule.removeprefix(TASK_RULE).partition(":")
    return task, month


def open_incidents(connection: Connection, asset: str | None = None) -> list[Incident]:
    """The incidents that are not over, of one asset or of all, errors first, then the oldest."""
    query = (
        "select * from ops.incident where status <> 'resolved' and (%(asset)s::varchar is null or asset = %(asset)s)"
        " order by severity, first_seen, fingerprint"
    )
    return _incidents(connection, query, {"asset": asset})


def all_incidents(connection: Connection, since_days: int = 30) -> list[Incident]:
    """What is not over, as `open_incidents` orders it, then what was resolved lately, the newest end first."""
    query = (
        "select * from ops.incident where status = 'resolved'"
        " and resolved_at > current_timestamp - make_interval(days => %(days)s) order by resolved_at desc, incident_id"
    )
    return [*open_incidents(connection), *_incidents(connection, query, {"days": since_days})]


def clear(connection: Connection, before: datetime) -> None:
    """Forgets incidents that were resolved before a moment."""
    connection.execute("delete from ops.incident where status = 'resolved' and resolved_at < %s", (before,))


def find(connection: Connection, name: str) -> list[Incident]:
    """The incidents whose id begins with `name`, the newest first."""
    query = "select * from ops.incident where starts_with(incident_id, %(name)s) order by first_seen desc, incident_id"
    return _incidents(connection, query, {"name": name.lower()})


def acknowledge(connection: Connection, incident_id: str, who: str) -> Incident | None:
    """Somebody has taken it on: no more reminders until it gets worse. None if it is not open (any more)."""
    query = (
        "update ops.incident set status = 'acknowledged', acknowledged_by = %(who)s,"
        " acknowledged_at = current_timestamp where incident_id = %(incident_id)s and status = 'open' returning *"
    )
    values = {"incident_id": incident_id, "who": plain_line(who, longest=_LONGEST_NAME)}
    return next(iter(_incidents(connection, query, values)), None)


def close(connection: Connection, incident_id: str) -> Incident | None:
    """Resolves one incident by hand; None if it is over already. If its cause is still there, it will open again."""
    query = (
        "update ops.incident set status = 'resolved', resolved_at = current_timestamp"
        " where incident_id = %(incident_id)s and status <> 'resolved' returning *"
    )
    return next(iter(_incidents(connection, query, {"incident_id": incident_id})), None)


def take_live(connection: Connection) -> list[Incident]:
    """The incidents that somebody may have to hear of: those that are not over, and those whose end is not told to all.

    They stay locked until the transaction ends, and what another process is telling just now is left to it. Errors
    first, then the oldest.
    """
    query = (
        # A resolved incident of whose end all know is history.
        "select * from ops.incident where status <> 'resolved' or notified like '%%\"error\"%%'"
        """ or notified like '%%"warning"%%' or notified like '%%"held"%%'"""
        " order by severity, first_seen, fingerprint for update skip locked"
    )
    return _incidents(connection, query, {})


def note_told(
    connection: Connection, incident: Incident, notified: Mapping[str, str], heard: Mapping[str, datetime]
) -> None:
    """Remembers what recipients were told, and when; the incident is one that `take_live` gave (and locked)."""
    times = {who: when.isoformat() for who, when in heard.items()}
    connection.execute(
        "update ops.incident set notified = %s, heard = %s where incident_id = %s",
        (json.dumps(dict(notified)), json.dumps(times), incident.incident_id),
    )


def _open_or_count(connection: Connection, finding: Finding) -> Incident | None:
    """The incident if it is new or worse than before, else None."""
    opened = _open(connection, finding)
    while opened is None:
        known = _incidents(
            connection,
            "select * from ops.incident where fingerprint = %(fingerprint)s and status <> 'resolved' for update",
            {"fingerprint": finding.fingerprint},
        )
        if known:
            counted = _count(connection, known[0], finding)
            return counted if _WEIGHT[finding.severity] > _WEIGHT[known[0].severity] else None
        # Somebody resolved it between the two questions.
        opened = _open(connection, finding)
    return opened


def _open(connection: Connection, finding: Finding) -> Incident | None:
    query = (
        "insert into ops.incident (incident_id, fingerprint, asset, rule, owner, severity, status, summary, detail,"
        " run_id, notified) values (%(incident_id)s, %(fingerprint)s, %(asset)s, %(rule)s, %(owner)s, %(severity)s,"
        " 'open', %(summary)s, %(detail)s, %(run_id)s, '{}')"
        " on conflict (fingerprint) where status <> 'resolved' do nothing returning *"
    )
    opened = _incidents(connection, query, {"incident_id": str(uuid4()), **_values(finding)})
    return opened[0] if opened else None


def _count(connection: Connection, known: Incident, finding: Finding) -> Incident:
    # Who was told of an error that is now a warning has to hear of it when it is an error again.
    notified = {
        who: told if _WEIGHT[told] <= _WEIGHT[finding.severity] else finding.severity
        for who, told in known.notified.items()
    }
    query = (
        "update ops.incident set severity = %(severity)s, owner = %(owner)s, summary = %(summary)s,"
        " detail = %(detail)s, run_id = %(run_id)s, last_seen = current_timestamp, seen_count = seen_count + 1,"
        " notified = %(notified)s, status = %(status)s, times_worse = times_worse + %(worse)s"
        " where incident_id = %(incident_id)s returning *"
    )
    worse = _WEIGHT[finding.severity] > _WEIGHT[known.severity]
    values = {
        **_values(finding),
        "incident_id": known.incident_id,
        "notified": json.dumps(notified),
        # Who acknowledged a warning has not seen the error.
        "status": "open" if worse else known.status,
        "worse": int(worse),
    }
    return _incidents(connection, query, values)[0]


def _values(finding: Finding) -> dict[str, Any]:
    examples = [shown_key(finding.asset, example) for example in finding.examples[:MOST_EXAMPLES]]
    detail = {
        "failed": finding.failed,
        "total": finding.total,
        "examples": examples,
        "next_step": plain_line(finding.next_step, longest=_LONGEST_SUMMARY),
        "cause": plain_line(finding.cause, longest=_LONGEST_SUMMARY),
        "since": finding.since.isoformat() if finding.since else None,
    }
    return {
        "fingerprint": finding.fingerprint,
        "asset": finding.asset,
        "rule": finding.rule,
        "owner": finding.owner,
        "severity": finding.severity,
        "summary": plain_line(finding.summary, longest=_LONGEST_SUMMARY),
        "detail": json.dumps(detail, ensure_ascii=False),
        "run_id": finding.run_id,
    }


def _incidents(connection: Connection, query: str, values: Mapping[str, Any]) -> list[Incident]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_incident(row) for row in cursor.execute(query, values).fetchall()]


def _incident(row: Mapping[str, Any]) -> Incident:
    detail = json.loads(row["detail"])
    return Incident(
        incident_id=row["incident_id"],
        asset=row["asset"],
        rule=row["rule"],
        owner=row["owner"],
        severity=row["severity"],
        status=row["status"],
        summary=row["summary"],
        failed=detail["failed"],
        total=detail["total"],
        examples=tuple(detail["examples"]),
        next_step=detail["next_step"],
        run_id=row["run_id"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        resolved_at=row["resolved_at"],
        seen_count=row["seen_count"],
        notified=json.loads(row["notified"]),
        # A warehouse that an older version laid out has these columns after the next ingestion.
        acknowledged_by=row.get("acknowledged_by"),
        acknowledged_at=row.get("acknowledged_at"),
        cause=detail.get("cause", ""),
        since=datetime.fromisoformat(detail["since"]) if detail.get("since") else None,
        heard={who: datetime.fromisoformat(when) for who, when in json.loads(row.get("heard") or "{}").items()},
        times_worse=row.get("times_worse") or 0,
        reminded_at=row.get("reminded_at"),
    )
