"""Every message is sent exactly once: servers that are down, killed processes, storms, quiet hours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adventureworks import incidents
from adventureworks.errors import PlatformError
from adventureworks.incidents import Finding, ledger
from adventureworks.messaging.composing import compose
from adventureworks.messaging.recipients import Recipients
from adventureworks.messaging.routes import QuietHours, not_before, routes
from adventureworks.settings import Settings, settings
from tests.integration.channels import Inbox, Webhook, use_mail, use_slack
from tests.integration.test_notify import FINDING, SET_ASIDE, platform, report, resolve, time_passes

__all__ = ["platform"]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SEND = "from adventureworks.orchestration.notify import send_pending; send_pending()"


@pytest.fixture
def both(platform: str, inbox: Inbox, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a platform with Slack and a mail server."""
    use_slack(monkeypatch, webhook.port)
    use_mail(monkeypatch, inbox.port)
    return platform


def other(number: int) -> Finding:
    return replace(FINDING, asset=f"Sales_{number}")


def recipients(channels: tuple[str, ...] = ("email",), **given: object) -> Recipients:
    return Recipients(routes(Settings()).model_copy(update=given), channels, "slack_default", "")


def at(url: str, moment: datetime, recipients: Recipients) -> list[tuple[str, str]]:
    """Return recipient and subject of the messages queued at a point in time."""
    with psycopg.connect(url) as connection:
        assert compose(connection, recipients, moment) == []
        rows = connection.execute(
            "select recipient, subject from ops.outbox join ops.message_content using (content_id)"
            " where sent_at is null order by number"
        ).fetchall()
        connection.execute("update ops.outbox set sent_at = created")
    return [(recipient, subject.removeprefix("[AdventureWorks] ")) for recipient, subject in rows]


def test_messages_are_delayed_but_not_lost_while_the_mail_server_is_down(
    both: str, inbox: Inbox, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.orchestration.notify import notify_owners, send_pending

    use_mail(monkeypatch, 1)
    for number in range(4):
        notify_owners(report(both, other(number)))
    notify_owners((), resolve(both, "Sales_0"))
    assert not inbox.mails
    assert len(webhook.posts) == 5, "the other channel is not affected"
    for _ in range(3):
        time_passes(both)
        send_pending()
    use_mail(monkeypatch, inbox.port)
    for _ in range(3):
        time_passes(both)
        send_pending()
    subjects = [subject.removeprefix("[AdventureWorks] ").split(":")[0] for subject in inbox.subjects()]
    assert sorted(subjects) == sorted([*(f"Sales_{number} blocked" for number in range(4)), "Sales_0 recovered"])
    assert subjects.index("Sales_0 blocked") < subjects.index("Sales_0 recovered")
    assert len(webhook.posts) == 5


@pytest.mark.parametrize("answer", [429, 500])
def test_slack_gets_each_message_once_despite_retry_after(
    both: str, webhook: Webhook, inbox: Inbox, answer: int
) -> None:
    from adventureworks.orchestration.notify import notify_owners, send_pending

    webhook.answer, webhook.retry_after = answer, 120
    before = datetime.now(UTC)
    notify_owners(report(both, FINDING))
    with psycopg.connect(both) as connection:
        ((error, next_try),) = connection.execute(
            "select last_error, not_before from ops.outbox where channel = 'slack'"
        ).fetchall()
    assert error == f"the server answers {answer}"
    assert next_try - before > timedelta(seconds=119)
    webhook.answer = 200
    send_pending()
    assert len(webhook.posts) == 1, "not before the requested pause has passed"
    time_passes(both)
    send_pending()
    send_pending()
    assert webhook.headers() == ["Sales_SalesOrderDetail blocked"] * 2, "the first one was rejected"
    assert len(inbox.mails) == 1


def start_sender() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SEND], env=os.environ, stderr=subprocess.DEVNULL)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.005)


def outbox(url: str, columns: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(f"select {columns} from ops.outbox order by number").fetchall()


def in_transit(url: str) -> int:
    with psycopg.connect(url) as connection:
        ((count,),) = connection.execute("select count(*) from ops.in_transit").fetchall()
    return int(count)


def test_sender_killed_while_sending_a_mail_causes_no_loss_and_no_duplicate(
    platform: str, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.orchestration.notify import send_pending

    with psycopg.connect(platform) as connection:
        incidents.report(connection, [replace(other(number), owner=f"owner{number}") for number in range(9)])
    use_mail(monkeypatch, inbox.port)
    inbox.reading_seconds = 0.4
    for kill in (signal.SIGKILL, signal.SIGTERM):
        second = inbox.begun + 2
        sender = start_sender()
        wait_until(lambda second=second: inbox.begun == second)  # type: ignore[misc]
        taken = len(inbox.mails)
        sender.send_signal(kill)
        sender.wait(60)
        if kill == signal.SIGKILL:
            assert (len(inbox.mails), in_transit(platform)) == (taken, 1), (
                "the current mail is not accepted, and is recorded as in transit"
            )
        else:
            assert (len(inbox.mails), in_transit(platform)) == (taken + 1, 0), "the current mail is sent first"
    inbox.reading_seconds = 0
    send_pending()
    assert sorted(str(mail["To"]) for mail in inbox.mails) == sorted(f"owner{n}@localhost" for n in range(9))
    assert in_transit(platform) == 0
    maybe_sent = [when is not None for (when,) in outbox(platform, "maybe_sent_at")]
    assert maybe_sent.count(True) == 1, "one attempt was interrupted"


def test_mail_accepted_before_its_sender_died_is_sent_again_with_the_same_message_id(
    platform: str, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.orchestration.notify import send_pending

    use_mail(monkeypatch, inbox.port)
    report(platform, FINDING)
    inbox.answers_after_seconds = 5
    sender = start_sender()
    wait_until(lambda: len(inbox.mails) == 1)
    sender.kill()
    sender.wait(60)
    inbox.answers_after_seconds = 0
    for _ in range(2):
        send_pending()
    assert [mail["Message-ID"] for mail in inbox.mails] == [inbox.mails[0]["Message-ID"]] * 2
    ((sent, maybe_sent, error),) = outbox(platform, "sent_at, maybe_sent_at, last_error")
    assert maybe_sent < sent
    assert error is None


def test_slow_mail_server_gets_a_mail_once(both: str, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from adventureworks.orchestration import channels
    from adventureworks.orchestration.notify import notify_owners, send_pending

    monkeypatch.setattr(channels, "SMTP_TIMEOUT_SECONDS", 0.5)
    inbox.answers_after_seconds = 1
    notify_owners(report(both, FINDING))
    time_passes(both)
    send_pending()
    assert len(inbox.mails) == 1
    assert [sent is None for (sent,) in outbox(both, "sent_at")] == [False, False]


def test_unconfirmed_message_is_retried_with_increasing_pauses(
    both: str, inbox: Inbox, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.orchestration import channels
    from adventureworks.orchestration.notify import notify_owners, send_pending

    monkeypatch.setattr(channels, "END_OF_MAIL_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(channels, "SLACK_TIMEOUT_SECONDS", 0.3)
    inbox.answers_after_seconds = webhook.answers_after_seconds = 1
    before = datetime.now(UTC)
    notify_owners(report(both, FINDING, other(1)))
    assert len(inbox.mails) == len(webhook.posts) == 1, "the second message waits for the next round"
    time_passes(both)
    send_pending()
    assert len(inbox.mails) == len(webhook.posts) == 2
    for next_try, maybe_sent, error in outbox(both, "not_before, maybe_sent_at, last_error"):
        if maybe_sent:
            assert error.startswith(("no answer", "no reply to the complete mail"))
            assert next_try - before > timedelta(minutes=59)
    assert any(maybe_sent for (maybe_sent,) in outbox(both, "maybe_sent_at"))
    assert max(next_try for (next_try,) in outbox(both, "not_before")) - before > timedelta(minutes=119)


def test_unreadable_message_is_given_up_and_the_others_are_sent(both: str, inbox: Inbox) -> None:
    from adventureworks.orchestration.notify import send_pending

    report(both, other(0), other(1), other(2))
    with psycopg.connect(both) as connection:
        compose(connection, recipients(), datetime.now(UTC))
        (gone,), (broken,), _ = connection.execute("select content_id from ops.outbox order by number").fetchall()
        connection.execute("delete from ops.message_content where content_id = %s", (gone,))
        connection.execute("update ops.message_content set blocks = '[' where content_id = %s", (broken,))
    send_pending()
    send_pending()
    mails = [one for one in outbox(both, "given_up_at, last_error, channel") if one[2] == "email"]
    assert [given_up is not None for given_up, _, _ in mails] == [True, True, False]
    assert all("cannot be read" in error for _, error, _ in mails[:2])
    assert [subject.partition("] ")[2] for subject in inbox.subjects()] == ["Sales_2 blocked: columns_are_there"]


def test_gradual_storm_becomes_one_summary(platform: str) -> None:
    queued = []
    for minute in range(9):
        report(platform, *(other(10 * minute + number) for number in range(2)))
        queued += at(platform, datetime.now(UTC) + timedelta(minutes=minute), recipients())
    subjects = [subject.split(":")[0] for _, subject in queued]
    assert subjects == [*(f"Sales_{number} blocked" for number in (0, 1, 10, 11)), "2 incidents"]
    ((_, rest),) = at(platform, datetime.now(UTC) + timedelta(minutes=11), recipients())
    assert rest.startswith("12 incidents: ")


@pytest.fixture
def routed(tmp_path: Path) -> Callable[[str], Recipients]:
    """Return a function that creates recipients with mail only, from custom routes."""

    def make(text: str) -> Recipients:
        file = tmp_path / "routes.yaml"
        file.write_text(text)
        return Recipients(routes(Settings(routes=file)), ("email",), "slack_default", "")

    return make


def test_storm_for_one_recipient_causes_no_loss_or_duplicate_for_others(
    platform: str, routed: Callable[[str], Recipients]
) -> None:
    two = routed(
        "groups: {calm: {emails: [calm@x]}, stormy: {emails: [stormy@x]}}\n"
        "incidents: {owners: {sales: [calm, stormy], noisy: [stormy]}, most_at_once: 1}\n"
    )
    now = datetime.now(UTC)

    def after(minutes: int) -> list[tuple[str, str]]:
        return [(who, subject.split(":")[0]) for who, subject in at(platform, now + timedelta(minutes=minutes), two)]

    report(platform, *(replace(other(number), owner="noisy") for number in range(3)))
    assert after(0) == [("stormy@x", "3 incidents")]
    for minute in range(1, 4):
        report(platform, FINDING)
        expected = [("calm@x", "Sales_SalesOrderDetail blocked")] if minute == 1 else []
        assert after(minute) == expected
    assert after(11) == [("stormy@x", "Sales_SalesOrderDetail blocked")]
    resolve(platform)
    assert sorted(after(30)) == [
        ("calm@x", "Sales_SalesOrderDetail recovered"),
        ("stormy@x", "Sales_SalesOrderDetail recovered"),
    ]
    report(platform, FINDING)
    assert len(after(50)) == 2, "it reopened"


def test_incident_held_back_by_a_storm_is_reported_even_if_resolved(
    platform: str, routed: Callable[[str], Recipients]
) -> None:
    narrow, now = routed("incidents: {most_at_once: 1}\n"), datetime.now(UTC)
    report(platform, other(0), other(1))
    at(platform, now, narrow)
    report(platform, other(2), other(3))
    assert at(platform, now + timedelta(minutes=1), narrow) == []
    resolve(platform, "Sales_2")
    subjects = [subject.split(":")[0] for _, subject in at(platform, now + timedelta(minutes=15), narrow)]
    assert subjects == ["Sales_2 recovered", "Sales_3 blocked"]
    assert at(platform, now + timedelta(minutes=40), narrow) == [], "the recovery was already reported"


def test_every_worsening_is_reported_but_no_repetition(platform: str) -> None:
    worse = replace(FINDING, rule=SET_ASIDE.rule)
    queued = []
    for minute, finding in enumerate((SET_ASIDE, SET_ASIDE, worse, worse, SET_ASIDE, worse, worse)):
        report(platform, finding)
        queued += at(platform, datetime.now(UTC) + timedelta(minutes=minute), recipients())
    assert [subject.partition(": Sales")[0] for _, subject in queued] == [
        "Sales_SalesOrderDetail rows set aside: quantity_is_positive",
        "Worse",
        "Worse",
    ]


def test_error_is_not_delayed_by_a_warning_held_until_the_morning(
    both: str, inbox: Inbox, routed: Callable[[str], Recipients]
) -> None:
    from adventureworks.orchestration.notify import send_pending

    night = datetime.now(UTC)
    begin, end = night - timedelta(hours=1), night + timedelta(hours=8)
    quiet = routed(f"incidents: {{quiet_hours: {{begin: '{begin:%H:%M}', end: '{end:%H:%M}'}}}}\n")
    report(both, SET_ASIDE, replace(SET_ASIDE, asset="Sales_Store"))
    with psycopg.connect(both) as connection:
        compose(connection, quiet, night)
    send_pending()
    assert not inbox.mails, "both are held until the morning"
    report(both, replace(FINDING, rule=SET_ASIDE.rule))
    with psycopg.connect(both) as connection:
        compose(connection, quiet, night)
    send_pending()
    assert [subject.partition("] ")[2].partition(": ")[0] for subject in inbox.subjects()] == [
        "Sales_SalesOrderDetail rows set aside",
        "Worse",
    ]


def test_reminders_are_sent_at_the_groups_time_but_not_just_after_a_message(
    platform: str, routed: Callable[[str], Recipients]
) -> None:
    far = routed(
        "groups: {la: {emails: [la@x], time_zone: America/Los_Angeles}, oslo: {emails: [oslo@x], time_zone:"
        " Europe/Oslo}}\nincidents: {owners: {sales: [la, oslo]}, quiet_hours: {begin: '20:00', end: '10:00'}}\n"
    )
    report(platform, FINDING, SET_ASIDE)
    with psycopg.connect(platform) as connection:
        connection.execute("update ops.incident set first_seen = %s", (NOON - timedelta(days=9),))

    def at_utc(day: int, hour: int, minute: int = 0) -> list[str]:
        return [who for who, _ in at(platform, NOON.replace(day=day, hour=hour, minute=minute), far)]

    assert at_utc(2, 7, 30) == ["la@x", "la@x", "oslo@x", "oslo@x"]
    assert at_utc(2, 8, 1) == [], "nine in Oslo, but just notified"
    assert at_utc(2, 16, 59) == []
    assert at_utc(2, 17, 1) == ["la@x"], "nine in Los Angeles"
    assert at_utc(3, 7, 59) == []
    assert at_utc(3, 8, 1) == ["oslo@x"]
    resolve(platform)
    at_utc(3, 9)
    report(platform, SET_ASIDE)
    at_utc(3, 18)
    with psycopg.connect(platform) as connection:
        compose(connection, far, NOON.replace(day=4, hour=8, minute=1))
        ((waits,),) = connection.execute(
            "select not_before from ops.outbox where sent_at is null and recipient = 'oslo@x'"
        ).fetchall()
    assert waits == NOON.replace(day=4, hour=9), "a warning: ten in Oslo, when the quiet hours end"


def test_open_incident_causes_daily_reminders_until_acknowledged(platform: str) -> None:
    with psycopg.connect(platform) as connection:
        (incident,) = incidents.report(connection, [FINDING])
        connection.execute("update ops.incident set first_seen = %s", (NOON,))
    assert [subject for _, subject in at(platform, NOON, recipients())] == [
        "Sales_SalesOrderDetail blocked: columns_are_there"
    ]

    def on(day: int, hour: int) -> list[str]:
        moment = NOON.replace(hour=hour) + timedelta(days=day)
        return [subject for _, subject in at(platform, moment, recipients())]

    assert on(0, 20) == []
    assert on(1, 8) == []
    assert on(1, 10) == ["Still open: Sales_SalesOrderDetail blocked: columns_are_there"]
    assert on(1, 11) == []
    assert len(on(2, 10)) == 1
    with psycopg.connect(platform) as connection:
        acknowledged = ledger.acknowledge(connection, incident.incident_id, "ann")
        assert acknowledged is not None
        assert acknowledged.acknowledged_by == "ann"
    assert on(3, 10) == []
    report(platform, FINDING)
    assert on(4, 10) == [], "it is counted, not reported"
    resolve(platform)
    assert on(5, 10) == ["Sales_SalesOrderDetail recovered: columns_are_there"]


def test_acknowledged_warning_that_becomes_an_error_is_open_again(platform: str) -> None:
    (incident,) = report(platform, SET_ASIDE)
    at(platform, NOON, recipients())
    with psycopg.connect(platform) as connection:
        ledger.acknowledge(connection, incident.incident_id, "ann")
    report(platform, replace(FINDING, rule=SET_ASIDE.rule))
    with psycopg.connect(platform) as connection:
        (worse,) = incidents.open_incidents(connection)
    assert worse.status == "open"
    assert [subject for _, subject in at(platform, NOON, recipients())] == [
        "Worse: Sales_SalesOrderDetail blocked: quantity_is_positive"
    ]


def test_quiet_hours_hold_warnings_until_the_groups_morning() -> None:
    quiet = QuietHours.model_validate({"begin": "20:00", "end": "07:00"})
    evening = datetime(2026, 3, 2, 19, 30, tzinfo=UTC)
    assert not_before(quiet, "error", "Europe/Paris", evening) is None
    assert not_before(quiet, "warning", "UTC", evening) is None
    assert not_before(quiet, "warning", "Europe/Paris", evening) == datetime(2026, 3, 3, 6, tzinfo=UTC)
    assert not_before(quiet, "warning", "Europe/Paris", datetime(2026, 3, 3, 5, tzinfo=UTC)) == datetime(
        2026, 3, 3, 6, tzinfo=UTC
    )
    assert not_before(quiet, "warning", "Europe/Paris", datetime(2026, 3, 3, 6, tzinfo=UTC)) is None


def test_custom_routes_are_merged_into_the_defaults(
    both: str, inbox: Inbox, webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.orchestration.notify import notify_owners

    file = tmp_path / "routes.yaml"
    file.write_text(
        "groups: {paris: {emails: A <a@example.org>; b@example.org, language: fr}, sales: {emails: [c@example.org]}}\n"
        "incidents: {owners: {sales: [sales, paris]}}\n"
    )
    monkeypatch.setenv("ADVENTUREWORKS_ROUTES", str(file))
    monkeypatch.delenv("ADVENTUREWORKS_OWNER_EMAILS")
    settings.cache_clear()
    notify_owners(report(both, FINDING, replace(FINDING, asset="Person_Person", owner="people")))
    assert sorted(str(mail["To"]) for mail in inbox.mails) == [
        "a@example.org",
        "b@example.org",
        "c@example.org",
        "people@localhost",
    ]
    assert len(webhook.posts) == 2, "a shared channel gets each incident once"


def test_times_can_be_written_with_or_without_quotes(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(
        "incidents: {quiet_hours: {begin: 20:00, end: 07:30}, reminder_at: 1:05}\n"
        "digests: {daily_sales: {to: [sales], at: 18:30}}\n"
    )
    found = routes(Settings(routes=file))
    quiet = found.incidents.quiet_hours
    assert quiet == QuietHours.model_validate({"begin": "20:00", "end": "07:30"})
    assert (quiet.begin, quiet.end) == (clock(20), clock(7, 30))
    assert found.incidents.reminder_at == clock(1, 5)
    assert found.digests["daily_sales"].at == clock(18, 30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: {x: {language: de}}", "groups.x.language"),
        ("digests: {daily_sales: {to: [nobody]}}", "nobody"),
        ("incidents: {quiet: 1}", "incidents.quiet"),
        ("groups: [", "not YAML"),
        ("groups: {x: {emails: 'ann@x.test; ben'}}", "groups.x.emails: 'ben' is not a mail address"),
        ("groups: {x: {emails: [1]}}", "groups.x.emails: 1 is not a mail address"),
        ("incidents: {quiet_hours: {begin: 1830, end: 07:00}}", "incidents.quiet_hours.begin: 1830 is not .*HH:MM"),
        ("incidents: {quiet_hours: {begin: 20:00, end: 7}}", r"incidents.quiet_hours.end: 7 is not a time"),
        ("incidents: {reminder_at: '09:00+02:00'}", r"incidents.reminder_at: '09:00\+02:00' is not a time"),
        ("digests: {low_stock: {to: [sales], at: '24:00'}}", r"digests.low_stock.at: '24:00' is not a time"),
    ],
)
def test_error_names_the_invalid_route(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(text)
    with pytest.raises(PlatformError, match=message):
        routes(Settings(routes=file))


def test_message_not_sent_for_a_week_is_given_up(both: str, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from adventureworks.orchestration.notify import notify_owners, send_pending

    use_mail(monkeypatch, 1)
    notify_owners(report(both, FINDING))
    with psycopg.connect(both) as connection:
        connection.execute("update ops.outbox set created = created - interval '8 days', not_before = created")
    send_pending()
    use_mail(monkeypatch, inbox.port)
    time_passes(both)
    send_pending()
    assert not inbox.mails
