"""The words of messages: complete, within Slack's limits, without persons, secrets or foreign markup."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from adventureworks.incidents import Incident, messages
from adventureworks.incidents.messages import Kind
from adventureworks.incidents.privacy import plain_line, shown_key

UI = "https://airflow.example.org/base/"
BLOCKED = Incident(
    incident_id="4c4ef1a4-8b0c-4a6c-a3f6-6cbb03b0a5d0",
    asset="Sales_SalesOrderDetail",
    rule="columns_are_there",
    owner="sales",
    severity="error",
    status="open",
    summary="Sales_SalesOrderDetail is blocked: the column OrderQty is missing. The last good version stays.",
    failed=3,
    total=121317,
    examples=("SalesOrderDetailID 17", "SalesOrderDetailID 4711"),
    next_step="adventureworks status Sales_SalesOrderDetail",
    run_id="ingest_source/scheduled__2026-11-23T00:15:00+00:00",
    first_seen=datetime(2026, 11, 23, 0, 15, tzinfo=UTC),
    last_seen=datetime(2026, 11, 23, 0, 30, tzinfo=UTC),
    resolved_at=None,
    seen_count=2,
    notified={},
)
RECOVERED = replace(BLOCKED, status="resolved", resolved_at=datetime(2026, 11, 23, 1, 0, tzinfo=UTC))
HOSTILE = "</td><script>alert(1)</script> <!channel> & <https://evil.example|click> `tick`"


def assert_valid_blocks(blocks: Sequence[dict[str, Any]]) -> None:
    """Slack's own limits; it answers `invalid_blocks` beyond them."""
    assert 1 <= len(blocks) <= 50
    for block in blocks:
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert 1 <= len(block["text"]["text"]) <= 150
        elif block["type"] == "section":
            assert "text" in block or "fields" in block
            if "text" in block:
                assert 1 <= len(block["text"]["text"]) <= 3000
            assert len(block.get("fields", [])) <= 10
            assert all(1 <= len(field["text"]) <= 2000 for field in block.get("fields", []))
        else:
            assert block["type"] == "context"
            assert 1 <= len(block["elements"]) <= 10


@pytest.mark.parametrize(
    ("incident", "subject"),
    [
        (BLOCKED, "[AdventureWorks] Sales_SalesOrderDetail blocked: columns_are_there"),
        (RECOVERED, "[AdventureWorks] Sales_SalesOrderDetail recovered: columns_are_there"),
        (
            replace(BLOCKED, severity="warning", rule="quantity_is_positive"),
            "[AdventureWorks] Sales_SalesOrderDetail rows set aside: quantity_is_positive",
        ),
        (
            replace(BLOCKED, asset="daily_sales_etl", rule="task_build"),
            "[AdventureWorks] daily_sales_etl failed: task_build",
        ),
    ],
)
def test_the_subject_says_what_happened_to_which_table(incident: Incident, subject: str) -> None:
    kind: Kind = "recovered" if incident.status == "resolved" else "opened"
    assert messages.letter_about([incident], kind).subject == subject


@pytest.mark.parametrize("code", ["en", "fr"])
def test_a_report_tells_all_that_its_owner_needs(code: str) -> None:
    letter = messages.letter_about([BLOCKED], "opened", UI, code)
    assert_valid_blocks(letter.blocks)
    total = "3 of 121,317" if code == "en" else "3 sur 121\u202f317"
    for text in (letter.html, letter.text, json.dumps(letter.blocks, ensure_ascii=False)):
        for needed in ("columns_are_there", "sales", total, "SalesOrderDetailID 17", BLOCKED.next_step):
            assert needed in text
        assert "adventureworks incident ack 4c4ef1a4" in text
        assert (
            "https://airflow.example.org/base/dags/ingest_source/runs/scheduled__2026-11-23T00%3A15%3A00%2B00%3A00"
        ) in text


def test_a_recovery_tells_how_long_it_lasted_and_asks_for_nothing() -> None:
    letter = messages.letter_about([RECOVERED], "recovered", UI)
    assert_valid_blocks(letter.blocks)
    for text in (letter.html, letter.text, json.dumps(letter.blocks)):
        assert "Seen 2 times since 2026-11-23 00:15 UTC, over since 2026-11-23 01:00 UTC." in text
        assert "Next" not in text
        assert "incident ack" not in text


def test_worse_and_still_open_are_told_apart_from_new() -> None:
    subjects = {kind: messages.letter_about([BLOCKED], kind).subject for kind in get_args(Kind)}
    assert len(set(subjects.values())) == 3, "a recovery is told by the status"
    assert messages.letter_about([BLOCKED], "reminder", code="fr").subject.startswith("[AdventureWorks] Toujours")


@pytest.mark.parametrize("code", ["en", "fr"])
def test_text_from_the_data_stays_text(code: str) -> None:
    hostile = replace(BLOCKED, summary=HOSTILE, examples=(HOSTILE,), rule=HOSTILE, asset="two\nlines: x", owner=HOSTILE)
    for batch in ([hostile], [hostile] * 7):
        letter = messages.letter_about(batch, "opened", UI, code)
        shown = json.dumps(letter.blocks[1:]) + letter.summary
        assert "<script" not in letter.html
        assert "&lt;script&gt;" in letter.html
        assert "<!channel>" not in shown
        assert "<https://evil" not in shown
        assert "\n" not in letter.subject
        assert HOSTILE in letter.text


def test_a_mail_needs_nothing_from_elsewhere_and_no_style_sheet() -> None:
    html = messages.letter_about([BLOCKED], "opened", UI).html
    assert set(re.findall(r'(?:src|href)="([^"]+)"', html)) == {f"{UI}{messages.page_of(BLOCKED)}"}
    assert "@import" not in html
    body = html.partition("<body")[2]
    assert body.count("style=") > 10


def test_messages_stay_within_the_limits_of_slack_however_long_the_texts() -> None:
    long = replace(BLOCKED, asset="A" * 400, rule="r" * 5000, summary="<&>" * 4000, examples=("&" * 3000,) * 3)
    for batch in ([long], [replace(long, status="resolved")], [long] * 500):
        letter = messages.letter_about(batch, "opened", UI)
        assert_valid_blocks(letter.blocks)
        assert len(letter.subject) <= 160
    many = messages.letter_about([long] * 500, "opened")
    assert "And 460 more" in json.dumps(many.blocks)
    assert "And 300 more" in many.text


@pytest.mark.parametrize("shift", range(6))
def test_a_cut_leaves_no_half_of_an_escaped_character(shift: int) -> None:
    long = replace(BLOCKED, summary="x" * shift + "&<>" * 2000, rule="y" * shift + "&" * 3000)
    for batch in ([long], [long] * 3):
        blocks = messages.letter_about(batch, "opened", UI).blocks
        assert "…" in json.dumps(blocks, ensure_ascii=False)
        assert re.findall(r"&(?!(?:amp|lt|gt);)", json.dumps(blocks[1:])) == []


def test_without_an_address_of_the_ui_there_is_no_link() -> None:
    letter = messages.letter_about([BLOCKED], "opened")
    assert "href" not in letter.html
    assert "<http" not in json.dumps(letter.blocks)


def test_a_failed_task_is_linked_itself() -> None:
    failed = replace(BLOCKED, asset="daily_sales_etl", rule="task_build", run_id="daily_sales_etl/asset__1")
    assert messages.page_of(failed) == "dags/daily_sales_etl/runs/asset__1/tasks/build"


@pytest.mark.parametrize(
    ("asset", "example", "shown"),
    [
        (
            "Sales_SalesOrderDetail",
            "SalesOrderID=43659, SalesOrderDetailID=17",
            "SalesOrderID 43659, SalesOrderDetailID 17",
        ),
        ("Sales_SalesOrderDetail", '{"SalesOrderDetailID": "17"}', "SalesOrderDetailID 17"),
        ("Person_PersonPhone", "BusinessEntityID=1, PhoneNumber=697-555-0142", "BusinessEntityID 1, PhoneNumber …42"),
        (
            "Person_PersonPhone",
            '{"BusinessEntityID": "1", "PhoneNumber": "x 12345"}',
            "BusinessEntityID 1, PhoneNumber …45",
        ),
        ("Person_Person", "LastName=Sánchez, Ken J.", "LastName …J."),
        ("Person_Person", "LastName=Wu", "LastName …"),
        ("Person_Person", "the row with LastName Sánchez", "the row with LastName …"),
        ("Sales_CreditCard", "CreditCardID=5, CardNumber=33332664695310", "CreditCardID 5, CardNumber …10"),
        ("Person_EmailAddress", "ken0@adventure-works.com", "…@…"),
        ("fact_sales", "customer 1 (11) 500 555-0132", "customer …32"),
    ],
)
def test_keys_are_shown_without_persons(asset: str, example: str, shown: str) -> None:
    assert shown_key(asset, example) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://loader:p%40ss@db:5432/w is down", "postgresql://…@db:5432/w is down"),
        ("connection failed: password='hunter2' host=db", "connection failed: password=… host=db"),
        ('{"token": "xoxb-1", "user": 1}', '{"token": …, "user": 1}'),
        ("Authorization: Bearer abc.def rejected", "Authorization: … rejected"),
        ("a\nTraceback\n  line\x00", "a Traceback line"),
        ("the key S3cret was refused", "the key … was refused"),
    ],
)
def test_lines_hold_no_secrets(text: str, shown: str) -> None:
    assert plain_line(text, secrets={"S3cret"}) == shown
