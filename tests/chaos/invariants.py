"""What must hold once a round is over and the platform has settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from adventureworks.catalog import MARTS, SOURCE_TABLES, marts_of
from adventureworks.columns import columns_of, key_of
from adventureworks.incidents.ledger import BUILDING, LATE
from adventureworks.marts.plan import decide_now
from adventureworks.warehouse import open_warehouse
from adventureworks.warehouse.subject import TASK_RULE, is_of_task
from tests import consistency
from tests.chaos.business import BadDelivery
from tests.chaos.platform import CLEAN, WAREHOUSE, Platform, contents, published_tables
from tests.chaos.tasks import Task


def violations(
    platform: Platform,
    dags: Sequence[str],
    since: datetime,
    delivered: Sequence[BadDelivery],
    failed: Collection[Task],
    made_up_for: Collection[Task],
) -> Iterator[str]:
    """Yield what does not hold after a round that began at `since`.

    `delivered`: the bad deliveries, all of them repaired; `failed`: the tasks that failed after all their attempts;
    `made_up_for`: those that succeeded in a later run before the watch looked.
    """
    yield from _is_fresh(platform, dags)
    yield from _equals_a_rebuild(platform, dags)
    yield from _is_published_once(platform, dags, since)
    yield from _is_reported_once(platform, delivered, failed, made_up_for)
    yield from _is_told_once(platform)
    yield from _left_over(platform, dags)


def _is_fresh(platform: Platform, dags: Sequence[str]) -> Iterator[str]:
    with open_warehouse(platform.settings).connect("chaos") as session:
        decisions = decide_now(platform.settings, session)
    for mart, cause in decisions.behind.items():
        if MARTS[mart].dag in dags:
            yield f"{mart} is behind: {cause.reason}"


def _equals_a_rebuild(platform: Platform, dags: Sequence[str]) -> Iterator[str]:
    """Compare with an empty warehouse that reads the source once, when everything has happened."""
    rebuilt = platform.rebuilt(dags)
    found = contents(platform.url(WAREHOUSE, "warehouse"))
    for asset, schema in published_tables(dags).items():
        if found[asset] == rebuilt[asset]:
            continue
        entry = SOURCE_TABLES[asset] if asset in SOURCE_TABLES else MARTS[asset]
        listed = ", ".join(f'"{column.name}"' for column in columns_of(entry))
        query = f'select {listed} from {schema}."{asset}"'
        ours, theirs = set(platform.records(query)), set(platform.records(query, database=CLEAN))
        key = ", ".join(key_of(entry))
        yield (
            f"{asset} has {found[asset][0]} rows, a rebuild {rebuilt[asset][0]}; only ours (by {key}):"
            f" {sorted(ours - theirs, key=repr)[:2]}; only rebuilt: {sorted(theirs - ours, key=repr)[:2]}"
        )


def _is_published_once(platform: Platform, dags: Sequence[str], since: datetime) -> Iterator[str]:
    marts = [mart.name for dag in dags for mart in marts_of(dag)]
    yield from consistency.violations(platform.records, marts, since)
    numbers = platform.records("select asset, count(*), max(version) from ops.publication group by 1")
    for asset, count, newest in numbers:
        if count != newest:
            yield f"{asset} has {count} versions up to {newest}"
    twice = platform.records(
        "select asset, version from (select *, lag(digest) over w as before, lag(set_aside) over w as aside"
        " from chaos.version where asset = any(%s) window w as (partition by asset order by version)) as v"
        " where (digest, set_aside) = (before, aside)",
        ([*SOURCE_TABLES],),
    )
    for asset, version in twice:
        yield f"{asset} version {version} has the same rows as the version before"
    for asset, status in platform.records(
        "select distinct on (asset) asset, status from ops.change order by asset, number desc"
    ):
        if status not in {"published", "unchanged", "not offered"}:
            yield f"the newest change of {asset} is {status}"


def _is_reported_once(
    platform: Platform, delivered: Sequence[BadDelivery], failed: Collection[Task], made_up_for: Collection[Task]
) -> Iterator[str]:
    """Compare the incidents with the bad deliveries and the failed tasks."""
    rows = platform.records("select asset, rule, status from ops.incident")
    for asset, rule, status in rows:
        if status != "resolved":
            yield f"the incident {asset}: {rule} is still {status}"
    expected = Counter((one.asset, one.rule) for one in delivered)
    # While a clock is ahead, everything looks late.
    found = Counter(
        (asset, rule)
        for asset, rule, *_ in rows
        # An analysis may have the name of its mart.
        if asset in {*SOURCE_TABLES, *MARTS} and rule != LATE and not is_of_task(rule)
    )
    for cause in expected.keys() | found.keys():
        if expected[cause] != found[cause]:
            yield f"{cause[0]}: {cause[1]} has {found[cause]} incidents instead of {expected[cause]}"
    # These may have been reported at once, before they were made up for: steps of an analysis that failed after its
    # marts were published, and tasks that succeeded in a later run before the watch looked.
    runs = {run for (run,) in platform.records("select unnest(array[run_id, confirmed_by]) from ops.publication")}
    done = {task for task in failed if task.name in BUILDING and f"{task.dag}/{task.run}" in runs} | {*made_up_for}
    tasks, spared = ({(task.dag, f"{TASK_RULE}{task.name}") for task in some} for some in ({*failed} - done, done))
    told = {(asset, rule) for asset, rule, *_ in rows if is_of_task(rule)}
    for dag, rule in sorted(tasks - told):
        yield f"the failure of {dag}: {rule} was not reported"
    for dag, rule in sorted(told - tasks - spared):
        yield f"the failure of {dag}: {rule} was reported, but there was none"


def _is_told_once(platform: Platform) -> Iterator[str]:
    """Compare the incidents with the messages, and the messages with what the mail server received."""
    rows = platform.records(
        "select o.message_id, o.dedup_key, o.sent_at is not null, o.maybe_sent_at is not null from ops.outbox as o"
    )
    for message, key, is_sent, _ in rows:
        if not is_sent:
            yield f"the message {key} ({message}) is not sent"
    told = Counter("/".join(key.split("/")[:3]) for _, key, *_ in rows)
    unannounced = {incident for (incident,) in platform.records("select incident_id from chaos.resolved_unannounced")}
    for incident, asset, rule in platform.records("select incident_id, asset, rule from ops.incident"):
        for event in ("opened", "recovered"):
            count = told[f"incident/{event}/{incident}"]
            if count != (0 if event == "opened" and incident in unannounced else 1):
                yield f"{count} messages say that {asset}: {rule} {event}"
    received = Counter(str(mail["Message-ID"]).strip("<>").partition("@")[0] for mail in platform.inbox.mails)
    for message, key, is_sent, was_interrupted in rows:
        if is_sent and received[message] != 1 and not (was_interrupted and received[message] > 1):
            yield f"the message {key} arrived {received[message]} times"
    if platform.records("select 1 from ops.in_transit"):
        yield "a message is still marked as being sent"


def _left_over(platform: Platform, dags: Sequence[str]) -> Iterator[str]:
    """Look for staged rows, marks of unfinished work, sessions and locks."""
    for what, query in _LEFT_OVER.items():
        for row in platform.records(query):
            yield f"{what}: {row}"
    for asset, schema in published_tables(dags).items():
        entry = SOURCE_TABLES[asset] if asset in SOURCE_TABLES else MARTS[asset]
        listed = ", ".join(f'"{column.name}"' for column in columns_of(entry))
        published, candidate = (f'select {listed} from {place}."{asset}"' for place in (schema, "staging"))
        if platform.records(f"({published} except {candidate}) union all ({candidate} except {published}) limit 1"):
            yield f"the candidate of {asset} shows other rows than the published ones"
    for session in platform.sessions():
        yield f"a session is left: {session}"


_LEFT_OVER = {
    "a row is staged for quarantine": "select asset, row_key from ops.quarantined_row where status = 'staged'",
    "a row is still in quarantine": "select asset, row_key, status from ops.quarantined_row"
    " where status in ('open', 'blocked')",
    "a table is still blocked": "select asset from ops.watermark where blocked",
    "a publication is not finished": "select asset, run_id from ops.change where publishing",
    "a version is not announced": "select asset, version from ops.publication where not announced and inputs is null",
    "a lock is held": "select locktype, mode, pid from pg_locks where locktype = 'advisory'",
}
