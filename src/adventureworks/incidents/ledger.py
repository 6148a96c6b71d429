"""The incidents in `ops.incident`: opened, counted, acknowledged and resolved, with what was sent to each recipient.

Every function runs in the caller's transaction and does not commit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row

from adventureworks.catalog import owner_of
from adventureworks.errors import Step
from adventureworks.incidents import events
from adventureworks.incidents.events import Event
from adventureworks.incidents.privacy import plain_line, shown_key
from adventureworks.warehouse.steps import BUILD, GATE, PUBLISH, REFRESH
from adventureworks.warehouse.subject import NOT_OF_TASK, TASK_RULE, is_of_task

Severity = Literal["warning", "error"]
Status = Literal["open", "acknowledged", "resolved"]
MAX_EXAMPLES = 3
SHORT_ID = 8
RESOLVED = "resolved"
HELD = "held"
"""State of a recipient whose message is held back for the next summary because of a storm."""
BUILDING = (REFRESH, BUILD, GATE, PUBLISH)
"""The task of an analysis whose failure is also a failure of its marts, and its names in versions in which each step
was a task."""
LATE = "is_fresh_in_time"
"""The rule that a mart is updated in time after its inputs."""
PER_MONTH = "deliver"
"""The task that delivers several months: each month that fails is a separate incident."""
_UNANNOUNCED = "1 hour"
"""How long after its resolution an incident of which nobody was notified may still be announced. Channels that are
configured later do not report what ended before."""
_WEIGHT = {HELD: 0, "warning": 1, "error": 2}
_MAX_PARAMETER_LENGTH = 1000
_MAX_NAME_LENGTH = 80

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A failure of an asset (or a DAG), as reported by whatever detected it.

    `failed` of `total` rows break `rule`; None if the rule does not count rows. `examples` are keys of such rows: JSON
    maps of column and value, or texts that name their columns. `run_id` is `<dag>/<run>`.
    """

    asset: str
    rule: str
    event: Event
    severity: Severity = "error"
    run_id: str = ""
    owner: str = ""
    """By default, the owner of the asset or DAG according to the catalogue."""
    failed: int | None = None
    total: int | None = None
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "owner", self.owner or owner_of(self.asset))

    @property
    def fingerprint(self) -> str:
        """Identifies the cause: asset and rule."""
        return f"{self.asset}:{self.rule}"


@dataclass(frozen=True)
class Incident:
    """A cause of failure: its recipients are notified when it opens and when it is resolved.

    Its event and examples contain no personal data or secrets (see `privacy`).
    """

    incident_id: str
    asset: str
    rule: str
    owner: str
    severity: Severity
    status: Status
    event: Event
    failed: int | None
    total: int | None
    examples: tuple[str, ...]
    run_id: str
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None
    seen_count: int
    notified: Mapping[str, str]
    """`channel/recipient` -> the state sent last: a severity or `resolved`; or `held`."""
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    notified_at: Mapping[str, datetime] = field(default_factory=dict)
    """`channel/recipient` -> when a message about it was last added to the outbox."""
    times_worse: int = 0
    """How often it changed from a warning to an error."""
    reminded_at: datetime | None = None
    """When all recipients were last reminded; written by versions without `notified_at`."""

    @property
    def is_of_task(self) -> bool:
        """Whether it is about a task: `asset` is then a DAG, also if a mart has that name."""
        return is_of_task(self.rule)

    @property
    def short_id(self) -> str:
        """The id's first characters, as users type it."""
        return self.incident_id[:SHORT_ID]

    def state_sent_to(self, recipient: str) -> str | None:
        """Return the state last sent to a recipient (`channel/recipient`), or None if there was none."""
        # Older versions stored one entry per channel, for all its recipients.
        return self.notified.get(recipient, self.notified.get(recipient.partition("/")[0]))

    def must_notify(self, recipient: str) -> bool:
        """Return whether a recipient must be notified: the incident is new to them, has become worse, or is resolved.

        Only recipients who were notified, or whose message is held, are notified that it is resolved; or all of them,
        if no message could be created while it was open.
        """
        sent = self.state_sent_to(recipient)
        if self.status == "resolved":
            return sent != RESOLVED and (sent is not None or not self.notified)
        return sent is None or _WEIGHT[sent] < _WEIGHT[self.severity]

    def last_notified_at(self, recipient: str) -> datetime:
        """Return when a recipient who was notified was last sent a message."""
        return self.notified_at.get(recipient, self.reminded_at or self.first_seen)

    def was_notified(self, recipient: str) -> bool:
        """Return whether a message about it was sent to this recipient."""
        return self.state_sent_to(recipient) not in {None, HELD}


def report(records: Connection, findings: Sequence[Finding]) -> list[Incident]:
    """Open an incident per cause, or count an open one. Return the incidents that are new or worse than before."""
    worst: dict[str, Finding] = {}
    for finding in findings:
        known = worst.get(finding.fingerprint)
        if known is None or _WEIGHT[finding.severity] >= _WEIGHT[known.severity]:
            worst[finding.fingerprint] = finding
    # A fixed order prevents deadlocks between concurrent reports.
    incidents = [_open_or_count(records, worst[fingerprint]) for fingerprint in sorted(worst)]
    return [incident for incident in incidents if incident is not None]


def resolve(records: Connection, *assets: str, keep: Collection[str] = (), run_id: str = "") -> list[Incident]:
    """Resolve the assets' open incidents whose rule is not in `keep`, and return them. `run_id`: the successful run.

    The incidents of tasks stay open, also those of a DAG with the name of an asset.
    """
    return _resolve(records, f"not rule = any(%(rules)s) and {NOT_OF_TASK}", assets, keep, run_id)


def resolve_rules(records: Connection, asset: str, rules: Collection[str], run_id: str = "") -> list[Incident]:
    """Resolve the asset's open incidents of these rules, and return them. `run_id`: the successful run."""
    return _resolve(records, "rule = any(%(rules)s)", [asset], rules, run_id)


def _resolve(
    records: Connection, condition: str, assets: Collection[str], rules: Collection[str], run_id: str
) -> list[Incident]:
    query = (
        "update ops.incident set status = 'resolved', resolved_at = current_timestamp,"
        " run_id = case when %(run_id)s = '' then run_id else %(run_id)s end"
        f" where asset = any(%(assets)s) and status <> 'resolved' and {condition} returning *"
    )
    return _incidents(records, query, {"assets": list(assets), "rules": list(rules), "run_id": run_id})


def task_rule(task: str, month: str | None = None) -> str:
    """Return the rule that a task succeeds, or that it delivers a month ('YYYY-MM')."""
    return f"{TASK_RULE}{task}:{month}" if month else f"{TASK_RULE}{task}"


def task_rules(task: str) -> frozenset[str]:
    """Return the rule that a task succeeds, under all names that it has had."""
    return frozenset(task_rule(name) for name in (BUILDING if task == REFRESH else (task,)))


def task_of(rule: str) -> tuple[str, str]:
    """Return the task and month of a rule made by `task_rule`; the month is empty if there is none."""
    task, _, month = rule.removeprefix(TASK_RULE).partition(":")
    return task, month


def is_task_reported(records: Connection, dag: str, task: str, run_id: str, failed_for: timedelta) -> bool:
    """Return whether a task has an open incident, or one for a failure of this run that was resolved since.

    `failed_for`: how long ago the task failed. Only ages are compared, because databases may have different clocks. A
    task that delivers several months opens an incident for each month that fails.
    """
    rows = records.execute(
        "select status, detail, run_id, current_timestamp - last_seen <= %(failed_for)s from ops.incident"
        " where asset = %(dag)s and (rule = %(rule)s or starts_with(rule, %(rule)s || ':'))",
        {"dag": dag, "rule": task_rule(task), "failed_for": failed_for},
    ).fetchall()
    return any(
        # Records of older versions have only the run that resolved it, if one did.
        status != "resolved" or (is_recent and json.loads(detail).get("run_id", resolved_by) == run_id)
        for status, detail, resolved_by, is_recent in rows
    )


def open_incidents(records: Connection, asset: str | None = None) -> list[Incident]:
    """Return the unresolved incidents of one asset or DAG, or of all: errors first, then the oldest."""
    query = (
        "select * from ops.incident where status <> 'resolved' and (%(asset)s::varchar is null or asset = %(asset)s)"
        " order by severity, first_seen, fingerprint"
    )
    return _incidents(records, query, {"asset": asset})


def all_incidents(records: Connection, since_days: int = 30) -> list[Incident]:
    """Return the unresolved incidents, as `open_incidents` does, then those resolved recently, the latest first."""
    query = (
        "select * from ops.incident where status = 'resolved'"
        " and resolved_at > current_timestamp - make_interval(days => %(days)s) order by resolved_at desc, incident_id"
    )
    return [*open_incidents(records), *_incidents(records, query, {"days": since_days})]


def clear(records: Connection, before: datetime) -> None:
    """Delete the incidents resolved before a point in time."""
    records.execute("delete from ops.incident where status = 'resolved' and resolved_at < %s", (before,))


def find(records: Connection, name: str) -> list[Incident]:
    """Return the incidents whose id begins with `name`, the newest first."""
    query = "select * from ops.incident where starts_with(incident_id, %(name)s) order by first_seen desc, incident_id"
    return _incidents(records, query, {"name": name.lower()})


def acknowledge(records: Connection, incident_id: str, who: str) -> Incident | None:
    """Acknowledge an open incident: no more reminders until it becomes worse. Return None if it is not open."""
    query = (
        "update ops.incident set status = 'acknowledged', acknowledged_by = %(who)s,"
        " acknowledged_at = current_timestamp where incident_id = %(incident_id)s and status = 'open' returning *"
    )
    values = {"incident_id": incident_id, "who": plain_line(who, longest=_MAX_NAME_LENGTH)}
    return next(iter(_incidents(records, query, values)), None)


def close(records: Connection, incident_id: str) -> Incident | None:
    """Resolve an incident manually, or return None if it is already resolved. It reopens if its cause persists."""
    query = (
        "update ops.incident set status = 'resolved', resolved_at = current_timestamp"
        " where incident_id = %(incident_id)s and status <> 'resolved' returning *"
    )
    return next(iter(_incidents(records, query, {"incident_id": incident_id})), None)


def take_pending(records: Connection) -> list[Incident]:
    """Return and lock the incidents that may need notifications: unresolved ones, and resolved ones not yet announced.

    The locks last until the transaction ends; rows locked by another process are skipped. Errors come first, then the
    oldest.
    """
    query = (
        # A resolved incident is finished once all its recipients have been notified.
        "select * from ops.incident where status <> 'resolved' or notified like '%%\"error\"%%'"
        """ or notified like '%%"warning"%%' or notified like '%%"held"%%'"""
        f" or notified = '{{}}' and resolved_at > current_timestamp - interval '{_UNANNOUNCED}'"
        " order by severity, first_seen, fingerprint for update skip locked"
    )
    return _incidents(records, query, {})


def record_notified(
    records: Connection, incident: Incident, notified: Mapping[str, str], notified_at: Mapping[str, datetime]
) -> None:
    """Record what was sent to which recipient, and when. The incident must come from `take_pending`."""
    times = {recipient: when.isoformat() for recipient, when in notified_at.items()}
    records.execute(
        "update ops.incident set notified = %s, notified_at = %s where incident_id = %s",
        (json.dumps(dict(notified)), json.dumps(times), incident.incident_id),
    )


def _open_or_count(records: Connection, finding: Finding) -> Incident | None:
    """Return the incident if it is new or worse than before, else None."""
    opened = _open(records, finding)
    while opened is None:
        known = _incidents(
            records,
            "select * from ops.incident where fingerprint = %(fingerprint)s and status <> 'resolved' for update",
            {"fingerprint": finding.fingerprint},
        )
        if known:
            counted = _count(records, known[0], finding)
            return counted if _WEIGHT[finding.severity] > _WEIGHT[known[0].severity] else None
        # It was resolved between the two queries.
        opened = _open(records, finding)
    return opened


def _open(records: Connection, finding: Finding) -> Incident | None:
    query = (
        "insert into ops.incident (incident_id, fingerprint, asset, rule, owner, severity, status, code, parameters,"
        " detail, run_id, notified) values (%(incident_id)s, %(fingerprint)s, %(asset)s, %(rule)s, %(owner)s,"
        " %(severity)s, 'open', %(code)s, %(parameters)s, %(detail)s, %(run_id)s, '{}')"
        " on conflict (fingerprint) where status <> 'resolved' do nothing returning *"
    )
    opened = _incidents(records, query, {"incident_id": str(uuid4()), **_values(finding)})
    return opened[0] if opened else None


def _count(records: Connection, known: Incident, finding: Finding) -> Incident:
    # If an error becomes a warning and then an error again, its recipients must be notified again.
    notified = {
        recipient: state if _WEIGHT[state] <= _WEIGHT[finding.severity] else finding.severity
        for recipient, state in known.notified.items()
    }
    query = (
        "update ops.incident set severity = %(severity)s, owner = %(owner)s, code = %(code)s,"
        " parameters = %(parameters)s, detail = %(detail)s, run_id = %(run_id)s, last_seen = current_timestamp,"
        " seen_count = seen_count + 1, notified = %(notified)s, status = %(status)s,"
        " times_worse = times_worse + %(worse)s"
        " where incident_id = %(incident_id)s returning *"
    )
    worse = _WEIGHT[finding.severity] > _WEIGHT[known.severity]
    values = {
        **_values(finding),
        "incident_id": known.incident_id,
        "notified": json.dumps(notified),
        # Acknowledging a warning does not acknowledge the error that it becomes.
        "status": "open" if worse else known.status,
        "worse": int(worse),
    }
    return _incidents(records, query, values)[0]


def _values(finding: Finding) -> dict[str, Any]:
    examples = [shown_key(finding.asset, example) for example in finding.examples[:MAX_EXAMPLES]]
    detail = {
        "failed": finding.failed,
        "total": finding.total,
        "examples": examples,
        # The column `run_id` later names the run that resolved it.
        "run_id": finding.run_id,
    }
    return {
        "fingerprint": finding.fingerprint,
        "asset": finding.asset,
        "rule": finding.rule,
        "owner": finding.owner,
        "severity": finding.severity,
        "code": finding.event.code,
        "parameters": json.dumps(_plain(finding.event.parameters), ensure_ascii=False),
        "detail": json.dumps(detail, ensure_ascii=False),
        "run_id": finding.run_id,
    }


def _plain(value: Any) -> Any:
    """Return a value for JSON whose texts are one line each, without secrets and of limited length."""
    if isinstance(value, str):
        return plain_line(value, longest=_MAX_PARAMETER_LENGTH)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _incidents(records: Connection, query: str, values: Mapping[str, Any]) -> list[Incident]:
    with records.cursor(row_factory=dict_row) as cursor:
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
        event=_event(row, detail),
        failed=detail["failed"],
        total=detail["total"],
        examples=tuple(detail["examples"]),
        run_id=row["run_id"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        resolved_at=row["resolved_at"],
        seen_count=row["seen_count"],
        notified=json.loads(row["notified"]),
        # A warehouse created by an older version gets these columns with the next ingestion.
        acknowledged_by=row.get("acknowledged_by"),
        acknowledged_at=row.get("acknowledged_at"),
        notified_at={
            name: datetime.fromisoformat(when) for name, when in json.loads(row.get("notified_at") or "{}").items()
        },
        times_worse=row.get("times_worse") or 0,
        reminded_at=row.get("reminded_at"),
    )


def _event(row: Mapping[str, Any], detail: Mapping[str, Any]) -> Event:
    if "code" in row:
        return Event(row["code"], json.loads(row["parameters"]))
    # The records are migrated with the next ingestion, analysis or round of the watch.
    return events.recorded(row["summary"], Step(detail["next_step"]))
