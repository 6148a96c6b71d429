"""Message texts: complete, within Slack's limits, without personal data, secrets or injected markup."""

import inspect
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from typing import Any, get_args

import pytest
from playwright.sync_api import sync_playwright

from adventureworks import texts
from adventureworks.errors import COMMAND_VARIABLE, Step
from adventureworks.incidents import Event, Incident, events
from adventureworks.incidents.privacy import plain_line, shown_key
from adventureworks.messaging import incident_messages, notice_wording, wording
from adventureworks.messaging.dependants import affected
from adventureworks.messaging.incident_messages import Kind
from adventureworks.messaging.notices import Digest, Listing, Notice
from adventureworks.messaging.routes import routes
from adventureworks.messaging.wording import words
from adventureworks.settings import Settings
from adventureworks.texts import phrase

SINCE = datetime(2026, 11, 23, 0, 15, tzinfo=UTC)
UI = "https://airflow.example.org/base/"
BLOCKED = Incident(
    incident_id="4c4ef1a4-8b0c-4a6c-a3f6-6cbb03b0a5d0",
    asset="Sales_SalesOrderDetail",
    rule="columns_are_there",
    owner="sales",
    severity="error",
    status="open",
    event=events.blocked("the column OrderQty is missing.", has_version=True),
    failed=3,
    total=121317,
    examples=("SalesOrderDetailID 17", "SalesOrderDetailID 4711"),
    run_id="ingest_source/scheduled__2026-11-23T00:15:00+00:00",
    first_seen=datetime(2026, 11, 23, 0, 15, tzinfo=UTC),
    last_seen=datetime(2026, 11, 23, 0, 30, tzinfo=UTC),
    resolved_at=None,
    seen_count=2,
    notified={},
)
RECOVERED = replace(BLOCKED, status="resolved", resolved_at=datetime(2026, 11, 23, 1, 0, tzinfo=UTC))
HOSTILE = "</td><script>alert(1)</script> <!channel> & <https://evil.example|click> `tick`"


def joined(html: str) -> str:
    """Return HTML without the places where a long name may break."""
    return html.replace("<wbr>", "")


def assert_valid_blocks(blocks: Sequence[dict[str, Any]]) -> None:
    """Check Slack's limits, beyond which it responds with `invalid_blocks`."""
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
            replace(
                BLOCKED,
                severity="warning",
                rule="quantity_is_positive",
                event=events.rows_set_aside("OrderQty > 0", 121314),
            ),
            "[AdventureWorks] Sales_SalesOrderDetail rows set aside: quantity_is_positive",
        ),
        (
            replace(BLOCKED, severity="warning", rule="columns_stay_filled", event=events.unusual_change("x")),
            "[AdventureWorks] Sales_SalesOrderDetail warning: columns_stay_filled",
        ),
        (
            replace(BLOCKED, asset="daily_sales_etl", rule="task_build", event=events.task_killed("build", SINCE)),
            "[AdventureWorks] daily_sales_etl failed: task_build",
        ),
        (
            replace(
                BLOCKED,
                asset="reports",
                rule="digest_daily_sales",
                event=events.digest_failed("daily_sales", "x", Step()),
            ),
            "[AdventureWorks] reports failed: digest_daily_sales",
        ),
    ],
)
def test_subject_says_what_happened_to_which_table(incident: Incident, subject: str) -> None:
    kind: Kind = "recovered" if incident.status == "resolved" else "opened"
    assert incident_messages.incident_message([incident], kind).subject == subject


@pytest.mark.parametrize("code", ["en", "fr"])
def test_message_contains_all_details_for_the_owner(code: str) -> None:
    rendered = incident_messages.incident_message([BLOCKED], "opened", UI, code)
    assert_valid_blocks(rendered.blocks)
    total = "3 of 121,317" if code == "en" else "3 sur 121\u202f317"
    for text in (rendered.html, rendered.text, json.dumps(rendered.blocks, ensure_ascii=False)):
        for needed in (
            "columns_are_there",
            "sales",
            total,
            "SalesOrderDetailID 17",
            f"adventureworks status {BLOCKED.asset}",
        ):
            assert needed in text
        assert "adventureworks incident ack 4c4ef1a4" in text
        assert "https://airflow.example.org/base/dashboard/incidents#incident-4c4ef1a4" in text


@pytest.mark.parametrize("code", ["en", "fr"])
@pytest.mark.parametrize("batch", [[BLOCKED], [RECOVERED], [BLOCKED] * 3], ids=["one", "resolved", "several"])
def test_business_users_get_a_link_and_rules_in_words_instead_of_commands(batch: list[Incident], code: str) -> None:
    rendered = incident_messages.incident_message(batch, "opened", UI, code, for_operators=False)
    assert_valid_blocks(rendered.blocks)
    for text in (unescape(joined(rendered.html)), rendered.text, json.dumps(rendered.blocks, ensure_ascii=False)):
        shown = {"en": "columns are there", "fr": "«\xa0columns_are_there\xa0»"}[code]
        assert text.count("columns") == text.count(shown) > 0
        assert f"{UI}dashboard/incidents" in text
        assert not re.search(r"\b(adventureworks|airflow) [a-z]", text)


@pytest.mark.parametrize("code", ["en", "fr"])
def test_a_mail_about_several_incidents_fits_its_page_and_a_phone(code: str) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine (make programs installs it)")
    batch = [BLOCKED, replace(BLOCKED, asset="HumanResources_EmployeeDepartmentHistory", rule="keeps_most_of_its_rows")]
    rendered = incident_messages.incident_message(batch, "opened", UI, code)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for width in (700, 360):
            page = browser.new_page(viewport={"width": width, "height": 600})
            page.set_content(rendered.html)
            assert page.evaluate("document.documentElement.scrollWidth") == width
        browser.close()


def test_everybody_gets_the_commands_if_there_is_no_page_to_link_to() -> None:
    text = incident_messages.incident_message([BLOCKED], "opened", for_operators=False).text
    assert "adventureworks status Sales_SalesOrderDetail" in text


def test_only_operators_groups_get_commands_by_default() -> None:
    assert [name for name, group in ROUTES.groups.items() if group.operators] == ["platform"]


ROUTES = routes(Settings())


@pytest.mark.parametrize(
    ("code", "marts", "readers"),
    [
        (
            "en",
            ("Marts that depend on it", "fact_sales, daily_sales, customer_days, territory_sales and"),
            (
                "Read in",
                "monthly report (finance), digest daily_sales (sales), digest low_stock (production, purchasing)",
            ),
        ),
        (
            "fr",
            ("Marts qui en dépendent", "fact_sales, daily_sales, customer_days, territory_sales et"),
            ("Consulté dans", "rapport mensuel (finance), synthèse daily_sales (sales)"),
        ),
    ],
)
def test_message_names_what_depends_on_a_failed_asset_and_who_receives_it(
    code: str, marts: tuple[str, str], readers: tuple[str, str]
) -> None:
    rendered = incident_messages.incident_message([BLOCKED], "opened", UI, code, routes=ROUTES)
    for text in (
        " ".join(rendered.text.split()),
        json.dumps(rendered.blocks, ensure_ascii=False),
        joined(rendered.html),
    ):
        for heading, names in (marts, readers):
            assert heading in text
            assert names in text
    recovered = incident_messages.incident_message([RECOVERED], "recovered", UI, code, routes=ROUTES)
    assert marts[0] not in recovered.text


def test_message_about_a_service_names_no_dependants() -> None:
    stopped = replace(BLOCKED, asset="airflow", rule="scheduler_is_alive", event=events.scheduler_stopped(SINCE))
    assert "depend" not in incident_messages.incident_message([stopped], "opened", UI, routes=ROUTES).text
    assert affected("customer_value", texts.language("en"), ROUTES) == {
        "Read in": "digest customer_value (marketing), dashboard: Overview, dashboard: Customer value"
    }


@pytest.mark.parametrize(
    ("zone", "code", "duration"),
    [
        ("UTC", "en", "Seen 2 times since Nov 23, 2026, 12:15 AM UTC; resolved on Nov 23, 2026, 1:00 AM UTC."),
        (
            "Europe/Paris",
            "fr",
            "Constaté 2 fois depuis le 23 nov. 2026, 01:15 CET ; résolu le 23 nov. 2026, 02:00 CET.",
        ),
        (
            "America/New_York",
            "en",
            "Seen 2 times since Nov 22, 2026, 7:15 PM EST; resolved on Nov 22, 2026, 8:00 PM EST.",
        ),
    ],
)
def test_recovery_message_gives_the_duration_in_the_recipients_time_zone(zone: str, code: str, duration: str) -> None:
    rendered = incident_messages.incident_message([RECOVERED], "recovered", UI, code, zone)
    assert_valid_blocks(rendered.blocks)
    for text in (unescape(rendered.html), rendered.text, json.dumps(rendered.blocks, ensure_ascii=False)):
        assert duration in " ".join(text.split())
        assert "incident ack" not in text


@pytest.mark.parametrize("code", ["en", "fr"])
def test_every_message_has_a_next_command_and_a_link(code: str) -> None:
    known = replace(BLOCKED, run_id="")
    batches: dict[Kind, list[list[Incident]]] = {
        "opened": [[BLOCKED], [known], [BLOCKED, known]],
        "recovered": [[RECOVERED], [replace(RECOVERED, run_id="")], [RECOVERED] * 9],
    }
    for kind, several in batches.items():
        for batch in several:
            rendered = incident_messages.incident_message(batch, kind, UI, code)
            blocks = json.dumps(rendered.blocks, ensure_ascii=False)
            for text in (rendered.html, rendered.text, blocks):
                assert re.search("adventureworks (status|incident (list|show))", text)
                assert UI in text
                assert "4c4ef1a4" in text, "the id to use in commands"


@pytest.mark.parametrize("code", ["en", "fr"])
def test_commands_are_shown_as_users_of_the_platform_type_them(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setenv(COMMAND_VARIABLE, "adventureworks tour")
    approvable = replace(
        BLOCKED, event=events.refused("a check failed.", has_version=True, accept="adventureworks approve")
    )
    batches: list[tuple[Kind, list[Incident]]] = [
        ("opened", [BLOCKED]),
        ("opened", [BLOCKED, approvable]),
        ("recovered", [RECOVERED]),
        ("recovered", [RECOVERED, RECOVERED]),
    ]
    shown = [incident_messages.incident_message(batch, kind, UI, code).text for kind, batch in batches]
    for text in (*shown, stock(code)[1], words(approvable).next_step):
        assert set(re.findall(r"adventureworks\s+\w+", text)) == {"adventureworks tour"}


TASK = replace(BLOCKED, asset="daily_sales_etl", rule="task_build", failed=None, total=None)
LATE = replace(
    BLOCKED,
    asset="exchange_rates",
    rule="is_fresh_in_time",
    event=events.late(
        SINCE, phrase("{input} is newer", input="Sales_CurrencyRate"), "currency_exchange_rates", paused=False
    ),
)
STOPPED = replace(BLOCKED, asset="airflow", rule="scheduler_is_alive", event=events.scheduler_stopped(SINCE))

EVENTS: dict[str, Callable[..., Event]] = {
    name: function
    for name, function in inspect.getmembers(events, inspect.isfunction)
    if function.__module__ == events.__name__ and not name.startswith("_")
}


def sample(function: Callable[..., Event], filled: bool) -> Event:
    """Return an event with a value for each parameter; if not `filled`, without those that may be empty."""
    values: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        may_be_empty = parameter.default is not parameter.empty or name == "next_step"
        if filled or not may_be_empty:
            values[name] = {
                "str": "2014-05" if name == "month" else f"the {name}",
                "int": 7,
                "bool": filled,
                "datetime": SINCE,
                "Mapping[str, int] | None": {"Sales_Store": 7},
                "Step": Step("the sentence", "the command"),
                "Phrases": phrase("the business date moved to {day}", day=SINCE.date()),
                "Step | None": Step("the sentence", "the command"),
            }[parameter.annotation]
        elif parameter.annotation == "Step":
            values[name] = Step()
    return function(**values)


@pytest.mark.parametrize("code", ["en", "fr"])
@pytest.mark.parametrize("name", [*EVENTS])
@pytest.mark.parametrize("failed", [None, 1, 3])
@pytest.mark.parametrize("filled", [True, False])
def test_every_event_is_worded_with_all_its_parameters(name: str, code: str, failed: int | None, filled: bool) -> None:
    event = sample(EVENTS[name], filled)
    assert event.code == name
    worded = words(replace(BLOCKED, event=event, failed=failed), texts.language(code), "Europe/Paris")
    shown = f"{worded.state} {worded.summary} {worded.next_step}"
    assert worded.state
    assert not {"{", "}"} & set(shown)
    assert json.loads(json.dumps(event.parameters)) == event.parameters, "it can be stored"
    # The log's address is of no use to those who have better advice.
    expected = [value for name, value in event.parameters.items() if isinstance(value, str) and name != "log"]
    for value in expected:
        assert {"2014-05": "2014", SINCE.isoformat(): "2026"}.get(value, value) in shown
    if filled and "waiting" in event.parameters:
        assert "Sales_Store (7)" in shown


def test_table_of_words_has_exactly_the_codes_of_the_events() -> None:
    assert wording._table("en").keys() == EVENTS.keys()
    supplied = {name for function in EVENTS.values() for name in sample(function, True).parameters}
    assert wording._remarks("en").keys() <= supplied


@pytest.mark.parametrize(
    ("incident", "summary", "next_step"),
    [
        (
            BLOCKED,
            "Sales_SalesOrderDetail est bloqué : « the column OrderQty is missing. » La dernière version valide",
            "adventureworks status Sales_SalesOrderDetail",
        ),
        (
            replace(BLOCKED, event=events.blocked("x", has_version=False, accept="airflow dags trigger ingest_source")),
            "Sales_SalesOrderDetail est bloqué : « x » Aucune version n’est encore publiée.",
            "adventureworks status Sales_SalesOrderDetail. Si c’est voulu : airflow dags trigger ingest_source",
        ),
        (
            replace(BLOCKED, rule="quantity", event=events.rows_set_aside("OrderQty > 0", 121314, {"Sales_Store": 5})),
            "Sales_SalesOrderDetail : 3 lignes écartées, 121 314 publiées. Règle quantity : « OrderQty > 0 »."
            " Lignes en attente de cette table : Sales_Store (5).",
            "adventureworks quarantine show Sales_SalesOrderDetail",
        ),
        (
            replace(BLOCKED, failed=1, event=events.rows_set_aside("x", 9)),
            "Sales_SalesOrderDetail : une ligne écartée, 9 publiées. Règle columns_are_there : « x »",
            "adventureworks quarantine show Sales_SalesOrderDetail",
        ),
        (
            replace(TASK, event=events.task_failed("build", "ValueError: x", "http://x/log", Step())),
            "La tâche build a échoué : « ValueError: x »",
            "Consultez le journal de la tâche : http://x/log Corrigez la cause",
        ),
        (
            replace(
                TASK,
                event=events.task_failed(
                    "build", "The disk is full.", "http://x/log", Step("Make room, then:", "adventureworks run")
                ),
            ),
            "La tâche build a échoué : « The disk is full. »",
            "Make room, then: adventureworks run",
        ),
        (
            replace(
                TASK,
                asset="financial_reporting",
                rule="task_deliver:2014-05",
                event=events.report_not_delivered("2014-05", "pdf (fr): the disk is full.", Step()),
            ),
            "Rapports non livrés (mai 2014) : « pdf (fr): the disk is full. »",
            "Corrigez la cause, puis : airflow dags trigger financial_reporting",
        ),
        (
            replace(
                BLOCKED,
                asset="reports",
                rule="digest_daily_sales",
                event=events.digest_failed("daily_sales", "UndefinedTable.", Step()),
            ),
            "La synthèse daily_sales n’a pas pu être générée ; les autres messages sont envoyés. « UndefinedTable. »",
            "adventureworks watch --once",
        ),
        (
            replace(TASK, event=events.task_killed("build", SINCE)),
            "La tâche build s’est interrompue sans signaler d’erreur (23 nov. 2026, 01:15 CET)",
            "Consultez le journal de la tâche dans Airflow",
        ),
        (
            LATE,
            "exchange_rates est en retard depuis le 23 nov. 2026, 01:15 CET (Sales_CurrencyRate est plus récent)",
            "Lancez-le : airflow dags trigger currency_exchange_rates. Pour voir ce qu’il attend : adventureworks",
        ),
        (
            replace(
                BLOCKED,
                asset="ingest_source",
                rule="runs_in_time",
                event=events.not_run(SINCE, "ingest_source", paused=True),
            ),
            "La source n’a pas été interrogée depuis le 23 nov. 2026, 01:15 CET. Le DAG est en pause.",
            "Lancez-le : airflow dags unpause ingest_source",
        ),
        (
            STOPPED,
            "L’ordonnanceur d’Airflow est arrêté : plus aucune donnée n’est chargée ni calculée.",
            "Consultez son journal et redémarrez-le",
        ),
        (
            replace(STOPPED, rule="metadata_is_alive", event=events.database_silent(SINCE)),
            "La base de données d’Airflow ne répond pas",
            "Cherchez pourquoi elle ne répond pas",
        ),
        (
            replace(
                BLOCKED,
                asset="messages",
                rule="routes_are_valid",
                event=events.routes_invalid("7 is not a time of day.", Step()),
            ),
            "« 7 is not a time of day. »",
            "adventureworks watch --once",
        ),
    ],
)
def test_french_messages_are_in_french_except_for_quoted_causes(
    incident: Incident, summary: str, next_step: str
) -> None:
    rendered = incident_messages.incident_message([incident], "opened", UI, "fr", "Europe/Paris")
    assert_valid_blocks(rendered.blocks)
    text = " ".join(rendered.text.split())
    assert summary in text
    assert next_step in text
    for english in ("blocked", "set aside", "Last ", "published", "Start it", "Read the"):
        assert english not in text


@pytest.mark.parametrize("incident", [LATE, STOPPED, replace(STOPPED, event=events.triggerer_stopped(SINCE))])
def test_english_messages_give_times_in_the_recipients_time_zone(incident: Incident) -> None:
    text = " ".join(incident_messages.incident_message([incident], "opened", UI, "en", "Europe/Paris").text.split())
    assert "Nov 23, 2026, 1:15 AM CET" in text


def test_slack_shows_commands_as_code_and_the_sentences_before_them_as_text() -> None:
    blocks = incident_messages.incident_message([LATE], "opened", UI).blocks
    assert (
        "*Next*\nStart it: `airflow dags trigger currency_exchange_rates`"
        "\nTo see what it is waiting for: `adventureworks status exchange_rates`"
    ) in [block["text"]["text"] for block in blocks if "text" in block]


@pytest.mark.parametrize(
    "advice",
    [
        Step("Have an administrator run:", "GRANT SELECT ON [a].[b] TO c;"),
        Step(command="adventureworks doctor"),
        Step("Give the folder that adventureworks backup wrote."),
    ],
)
def test_slack_and_mail_show_the_command_in_an_errors_advice_as_code(advice: Step) -> None:
    incident = replace(BLOCKED, event=events.blocked("It failed.", has_version=True, next_step=advice))
    message = incident_messages.incident_message([incident], "opened", UI)
    markup = f"{advice.sentence} `{advice.command}`".strip() if advice.command else advice.sentence
    assert f"*Next*\n{markup}" in [block["text"]["text"] for block in message.blocks if "text" in block]
    shown_as_code = re.findall(r'<p class="command"[^>]*>(.*?)</p>', message.html, re.DOTALL)
    assert [text.strip() for text in shown_as_code] == ([advice.command] if advice.command else [])


def stock(code: str) -> tuple[str, str]:
    worse = (
        ("Chain (3)", "out", "low", "0", "1200", "", "1500", "CS"),
        ("Bolt (4)", "low", "", "9", "5", "12.25", "", ""),
    )
    digest = Digest(
        "stock",
        (
            Listing("worse", notice_wording.COLUMNS["worse"], worse),
            Listing("recovered", notice_wording.COLUMNS["recovered"], (("Nut (5)", "ok", "out", "30000"),)),
        ),
        "adventureworks sql",
    )
    rendered = incident_messages.notice_message(
        Notice("n", "inventory_status", "production", "d/r", SINCE, digest, {}), UI, code
    )
    return rendered.subject, " ".join(rendered.text.split())


@pytest.mark.parametrize(("code", "button"), [("en", "Open the dashboard"), ("fr", "Ouvrir le tableau de bord")])
def test_business_users_get_the_dashboard_instead_of_the_command_of_a_notice(code: str, button: str) -> None:
    notice = Notice("n", "inventory_status", "production", "d/r", SINCE, Digest("stock", (), "adventureworks sql"), {})
    rendered = incident_messages.notice_message(notice, UI, code, for_operators=False)
    for text in (rendered.html, rendered.text, json.dumps(rendered.blocks, ensure_ascii=False)):
        assert f"{UI}dashboard/overview#proposals" in text
        assert not re.search("adventureworks sql|Airflow", text)
    assert button in rendered.html
    for operators in (
        incident_messages.notice_message(notice, UI, code),
        incident_messages.notice_message(notice, code=code, for_operators=False),
    ):
        assert "adventureworks sql" in operators.text


def test_a_late_mart_is_explained_in_the_readers_language_with_dates() -> None:
    moved = events.late(SINCE, phrase("the business date moved to {day}", day=SINCE.date()), "d", paused=False)
    stored = Event("late", json.loads(json.dumps(moved.parameters)))
    assert (
        "(la date de référence est passée au 23 novembre 2026)"
        in words(replace(LATE, event=stored), texts.language("fr")).summary
    )


def test_stock_digest_is_in_the_recipients_language() -> None:
    subject, text = stock("en")
    assert subject == "[AdventureWorks] Stock: 1 out of stock, 1 low, 1 back to normal"
    assert "Worse than before (2) - Chain (3): out of stock, was low; on hand 0; reorder point 1,200; days" in text
    assert "days of supply not used; suggested order 1,500 × case" in text
    assert "Bolt (4): low; on hand 9; reorder point 5; days of supply 12.2; suggested order unknown" in text
    assert "Back to normal (1) - Nut (5): back to normal; on hand 30,000" in text
    subject, text = stock("fr")
    assert subject == "[AdventureWorks] Stock : 1 en rupture, 1 en stock bas, 1 de retour à la normale"
    assert (
        "En dégradation (2) - Chain (3) : en rupture, auparavant bas ; en stock 0 ; seuil de réapprovisionnement 1 200"
        in text
    )
    assert "De retour à la normale (1) - Nut (5) : de retour à la normale ; en stock 30 000" in text


def test_sentences_of_older_versions_are_shown_as_they_are() -> None:
    listing = Listing("Worse than before", ("Product", "State"), (("A", "low"),))
    digest = Digest("recorded", (listing,), "x", recorded_subject="Stock: 1 low")
    notice = Notice("n", "inventory_status", "production", "d/r", SINCE, digest, {})
    message = incident_messages.notice_message(notice, UI, "fr")
    assert message.subject.endswith("Stock: 1 low")
    assert "Worse than before (1)" in message.text
    incident = replace(BLOCKED, event=events.recorded("It failed: {x} & more.", Step("Start it {again}.")))
    worded = words(incident, texts.language("fr"))
    assert (worded.summary, worded.next_step) == ("It failed: {x} & more.", "Start it {again}.")
    late = replace(LATE, event=Event("late", {**LATE.event.parameters, "reason": "fact_sales is newer"}))
    assert "AM UTC: fact_sales is newer." in words(late).summary


def test_subjects_distinguish_new_worse_and_still_open_incidents() -> None:
    subjects = {kind: incident_messages.incident_message([BLOCKED], kind).subject for kind in get_args(Kind)}
    assert len(set(subjects.values())) == 3, "a recovery is recognized by the incident's status"
    assert incident_messages.incident_message([BLOCKED], "reminder", code="fr").subject.startswith(
        "[AdventureWorks] Toujours"
    )


@pytest.mark.parametrize("code", ["en", "fr"])
def test_text_from_the_data_is_escaped(code: str) -> None:
    hostile = replace(
        BLOCKED,
        event=events.blocked(HOSTILE, has_version=True, accept=HOSTILE, next_step=Step(HOSTILE, HOSTILE)),
        examples=(HOSTILE,),
        rule=HOSTILE,
        asset="two\nlines: x",
        owner=HOSTILE,
    )
    for batch in ([hostile], [hostile] * 7):
        rendered = incident_messages.incident_message(batch, "opened", UI, code)
        shown = json.dumps(rendered.blocks[1:]) + rendered.summary
        assert "<script" not in rendered.html
        assert "&lt;script&gt;" in rendered.html
        assert "<!channel>" not in shown
        assert "<https://evil" not in shown
        assert "\n" not in rendered.subject
        assert HOSTILE in rendered.text


def test_mail_has_no_external_resources_and_inline_styles() -> None:
    html = incident_messages.incident_message([BLOCKED], "opened", UI).html
    assert set(re.findall(r'(?:src|href)="([^"]+)"', html)) == {f"{UI}{incident_messages.page_of(BLOCKED)}"}
    assert "@import" not in html
    body = html.partition("<body")[2]
    assert body.count("style=") > 10


def test_long_texts_stay_within_slacks_limits() -> None:
    event = events.blocked("<&>" * 4000, has_version=True, accept="&" * 4000)
    long = replace(BLOCKED, asset="A" * 400, rule="r" * 5000, event=event, examples=("&" * 3000,) * 3)
    for batch in ([long], [replace(long, status="resolved")], [long] * 500):
        rendered = incident_messages.incident_message(batch, "opened", UI)
        assert_valid_blocks(rendered.blocks)
        assert len(rendered.subject) <= 160
    many = incident_messages.incident_message([long] * 500, "opened")
    assert "And 460 more" in json.dumps(many.blocks)
    assert "And 300 more" in many.text


@pytest.mark.parametrize("shift", range(6))
def test_truncated_text_contains_no_incomplete_entity(shift: int) -> None:
    event = events.blocked("x" * shift + "&<>" * 2000, has_version=True)
    long = replace(BLOCKED, event=event, rule="y" * shift + "&" * 3000)
    for batch in ([long], [long] * 3):
        blocks = incident_messages.incident_message(batch, "opened", UI).blocks
        assert "…" in json.dumps(blocks, ensure_ascii=False)
        assert re.findall(r"&(?!(?:amp|lt|gt);)", json.dumps(blocks[1:])) == []


def test_message_has_no_link_without_a_ui_address() -> None:
    rendered = incident_messages.incident_message([BLOCKED], "opened")
    assert "href" not in rendered.html
    assert "<http" not in json.dumps(rendered.blocks)


def test_an_incident_of_a_failed_task_leads_to_the_task() -> None:
    failed = replace(BLOCKED, asset="daily_sales_etl", rule="task_build", run_id="daily_sales_etl/asset__1")
    assert incident_messages.run_page_of(failed) == "dags/daily_sales_etl/runs/asset__1/tasks/build"
    month = replace(failed, rule="task_deliver:2014-05")
    assert incident_messages.run_page_of(month) == "dags/daily_sales_etl/runs/asset__1/tasks/deliver"


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
def test_example_keys_contain_no_personal_data(asset: str, example: str, shown: str) -> None:
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
def test_lines_contain_no_secrets(text: str, shown: str) -> None:
    assert plain_line(text, secrets={"S3cret"}) == shown
