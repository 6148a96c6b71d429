"""The stock digest on real local servers: products are reported once when they get worse and when they recover."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import date

import psycopg
import pytest

from adventureworks.dictionary import unit_text
from adventureworks.marts import build, gate, publish
from adventureworks.settings import settings
from adventureworks.texts import language
from tests.integration.channels import Inbox, Webhook, use_mail, use_slack
from tests.integration.pipeline import Pipeline
from tests.integration.test_notify import time_passes

DAG = "inventory_management"
ALARMS = {"low", "reorder", "out"}


@pytest.fixture
def stock(
    pipeline: Pipeline,
    inbox: Inbox,
    webhook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """Return a platform with both channels and a first version of the stock."""
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", pipeline.url)
    monkeypatch.setenv("ADVENTUREWORKS_OWNER_EMAILS", '{"production": "plant@example.org"}')
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    use_slack(monkeypatch, webhook.port)
    use_mail(monkeypatch, inbox.port)
    settings.cache_clear()
    yield pipeline
    settings.cache_clear()


def run(stock: Pipeline, name: str) -> None:
    """Ingest and run the analyses; publish the stock twice, as after a task that died between commit and mail."""
    from adventureworks.orchestration.notify import notify_owners

    stock.ingest()
    stock.analyse("daily_sales_etl")
    run_id = f"{DAG}/{name}"
    build.build(stock.settings, DAG, run_id)
    assert gate.gate(stock.settings, DAG, run_id) is None
    for _ in range(2):
        outcome = publish.publish(stock.settings, DAG, run_id)
        assert isinstance(outcome, publish.Outcome)
        notify_owners((), outcome.resolved, outcome.notices)


def products(stock: Pipeline, state: str) -> list[tuple[int, str]]:
    return stock.published(
        "select product_id, product from marts.inventory_status where state = %s order by product_id", (state,)
    )


def put(stock: Pipeline, product: int, quantity: int) -> None:
    """Set a product's stock to a quantity, all at one location."""
    stock.change(
        'update "Production"."ProductInventory" as i set "Quantity" = case when "LocationID" ='
        ' (select min("LocationID") from "Production"."ProductInventory" where "ProductID" = i."ProductID") then %s'
        " else 0 end"
        ' where "ProductID" = %s',
        (quantity, product),
    )


def plain(inbox: Inbox) -> str:
    (mail,) = inbox.mails
    part = mail.get_body(preferencelist=("plain",))
    assert part is not None
    return str(part.get_content())


def test_first_publication_causes_no_notice(stock: Pipeline, inbox: Inbox, webhook: Webhook) -> None:
    from adventureworks.orchestration.notify import send_pending

    send_pending()
    assert [name for state in ALARMS for name in products(stock, state)]
    assert stock.published("select count(*) from ops.notice") == [(0,)]
    assert inbox.mails == webhook.posts == []


def test_changes_are_reported_once_and_unchanged_states_are_not(
    stock: Pipeline, inbox: Inbox, webhook: Webhook
) -> None:
    (first, first_name), (second, second_name), *_ = products(stock, "ok")
    put(stock, first, 0)
    [(reorder_point,)] = stock.published(
        "select reorder_point from marts.inventory_status where product_id = %s", (second,)
    )
    put(stock, second, reorder_point)
    run(stock, "worse")
    [(days, order, unit)] = stock.published(
        "select days_of_supply, suggested_order, order_unit from marts.inventory_status where product_id = %s",
        (second,),
    )
    text = plain(inbox)
    assert inbox.subjects() == ["[AdventureWorks] Stock: 1 out of stock, 1 to reorder"]
    assert text.index(first_name) < text.index(second_name), "the worst comes first"
    supply = "not used" if days is None else f"{days:,.1f}"
    figures = f"on hand {reorder_point}; reorder point {reorder_point}; days of supply {supply}"
    ordered = f"suggested order {order:,} × {unit_text(unit, language('en'))}"
    assert f"{second_name} ({second}): to reorder; {figures}; {ordered}" in text
    assert "Worse than before (2)" in text
    assert webhook.headers() == ["Stock: 1 out of stock, 1 to reorder"]
    assert f"*{first_name} ({first})* out of stock; on hand 0" in json.dumps(webhook.posts[0]["blocks"])

    put(stock, second, reorder_point - 1)
    run(stock, "the same states")
    assert len(inbox.mails) == len(webhook.posts) == 1

    put(stock, first, 30_000)
    run(stock, "one is ok again")
    assert webhook.headers()[1:] == ["Stock: 1 back to normal"]
    del inbox.mails[0]
    assert f"- {first_name} ({first}): back to normal; on hand 30,000" in plain(inbox)
    assert second_name not in plain(inbox)


def test_digest_is_sent_once_after_a_server_was_down(
    stock: Pipeline, inbox: Inbox, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.orchestration.notify import send_pending

    [(product, _), *_] = products(stock, "ok")
    webhook.answer = 500
    use_mail(monkeypatch, 1)
    put(stock, product, 0)
    run(stock, "down")
    assert (product, "out") in stock.published("select product_id, state from marts.inventory_status")
    assert inbox.mails == []
    webhook.posts.clear()

    webhook.answer = 200
    time_passes(stock.url)
    send_pending()
    use_mail(monkeypatch, inbox.port)
    time_passes(stock.url)
    send_pending()
    send_pending()
    assert webhook.headers() == ["Stock: 1 out of stock"]
    assert inbox.subjects() == ["[AdventureWorks] Stock: 1 out of stock"]
    queued_at = stock.published("select queued_at from ops.notice order by created desc limit 1")[0][0]
    assert set(json.loads(queued_at)) == {"slack", "email"}


def test_old_notices_and_earlier_business_dates_are_not_reported(
    stock: Pipeline, inbox: Inbox, webhook: Webhook
) -> None:
    from adventureworks.orchestration.notify import send_pending

    [(product, _), *_] = products(stock, "ok")
    put(stock, product, 0)
    stock.ingest()
    stock.analyse(DAG)
    with psycopg.connect(stock.url) as connection:
        assert connection.execute("update ops.notice set created = created - interval '8 days'").rowcount == 1
    send_pending()
    stock.settings.as_of = date(2012, 6, 30)
    stock.analyse("daily_sales_etl")
    stock.analyse(DAG)
    assert stock.published("select distinct as_of from marts.inventory_status") == [(date(2012, 6, 30),)]
    send_pending()
    assert inbox.mails == webhook.posts == []


def test_long_digest_is_truncated_with_a_count(stock: Pipeline, inbox: Inbox, webhook: Webhook) -> None:
    from adventureworks.orchestration.notify import send_pending

    fine = products(stock, "ok")
    assert len(fine) > 50
    for product, _ in fine:
        put(stock, product, 0)
    stock.settings.set_aside_limit = 1.0
    # The loss of nearly all stock at once looks like a fault, so it must be accepted explicitly.
    stock.ingest(accept=["Production_ProductInventory"])
    send_pending()
    inbox.mails.clear()
    webhook.posts.clear()
    run(stock, "all is gone")
    assert webhook.headers() == [f"Stock: {len(fine)} out of stock"]
    blocks = webhook.posts[0]["blocks"]
    assert len(blocks) <= 50
    assert all(len(block["text"]["text"]) <= 3000 for block in blocks if block["type"] == "section")
    assert f"And {len(fine) - 40:,} more." in json.dumps(blocks)
    listed = plain(inbox).count("\n- ")
    assert listed == min(len(fine), 200)
