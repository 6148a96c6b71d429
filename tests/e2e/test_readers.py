"""What users see of a running platform: the dashboard in a browser, reports, and messages of the watch."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from openpyxl import load_workbook
from playwright.sync_api import Browser, Page, sync_playwright

from adventureworks.catalog.pages import address
from adventureworks.reports.month import shows_any
from tests.conftest import REPOSITORY
from tests.e2e.running import Inbox, RunningPlatform, wait_for
from tests.e2e.test_events import any_order, sell_one_more

PAGES = (
    "overview",
    "figure/revenue",
    "forecast",
    "quality",
    "incidents",
    "lineage",
    "reports",
    "search?q=revenue",
    "asset/fact_sales?steps=2",
    *(address(mart) for mart in ("territory_sales", "customer_churn", "purchase_proposal")),
)
SIZES = {"desktop": (1280, 900), "phone": (360, 740)}
SCREENSHOT_FOLDER = Path(os.environ.get("SCREENSHOTS", REPOSITORY / "build" / "screenshots"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine (make programs installs it)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def signed_in(browser: Browser, platform: RunningPlatform, scheme: str = "light", size: str = "desktop") -> Page:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        accept_downloads=True,
    )
    page = context.new_page()
    passwords = json.loads((platform.home / "secrets" / "airflow-passwords.json").read_text())
    page.goto(platform.ui)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", passwords["admin"])
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)
    return page


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "phone")])
def test_every_page_is_accessible_and_fits_the_screen(
    platform: RunningPlatform, browser: Browser, scheme: str, size: str
) -> None:
    wait_for(platform.is_idle)
    page = signed_in(browser, platform, scheme, size)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    requested: set[str] = set()
    page.on("request", lambda request: requested.add(request.url))
    SCREENSHOT_FOLDER.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        page.goto(f"{platform.ui}/dashboard/{name}")
        for chart in page.locator("[data-chart]").all():
            chart.locator("svg").first.wait_for()
        assert page.locator("html").get_attribute("data-scheme") == scheme
        file = f"{re.sub(r'[^a-z]+', '-', name)}-{scheme}-{size}.png"
        page.screenshot(path=SCREENSHOT_FOLDER / file, full_page=True)
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert serious == [], name
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{name} is wider than the screen"
    assert errors == []
    assert {url for url in requested if not url.startswith((platform.ui, "data:"))} == set(), (
        "nothing is loaded from other hosts"
    )
    page.context.close()


def test_the_dashboard_opens_from_airflows_menu(platform: RunningPlatform, browser: Browser) -> None:
    page = signed_in(browser, platform)
    page.goto(f"{platform.ui}/plugin/adventureworks")
    inside = page.frame_locator("iframe")
    inside.locator("h1", has_text="Overview").wait_for()
    page.goto(f"{platform.ui}/dags/sales_territory_analysis/plugin/adventureworks_marts")
    inside.locator("h1", has_text="territory_sales").wait_for()
    page.context.close()


def test_links_open_airflows_pages_outside_the_frame(platform: RunningPlatform, browser: Browser) -> None:
    page = signed_in(browser, platform)
    links = {"DAG daily_sales_etl, daily_sales": "/dags/daily_sales_etl", "Asset daily_sales": "/assets"}
    for link, target in links.items():
        page.goto(f"{platform.ui}/plugin/adventureworks")
        inside = page.frame_locator("iframe")
        inside.get_by_role("link", name="Freshness and quality").click()
        inside.get_by_role("link", name=link, exact=True).click()
        page.wait_for_url(f"**{target}**")
    page.context.close()


def test_a_downloaded_report_agrees_with_the_warehouse(platform: RunningPlatform, browser: Browser) -> None:
    page = signed_in(browser, platform)
    [(month, revenue)] = platform.sql(
        "warehouse",
        "select to_char(month, 'YYYY-MM'), sum(revenue) from marts.monthly_profit where not is_partial"
        " group by 1 order by 1 desc limit 1",
    )
    page.goto(f"{platform.ui}/dashboard/reports")
    with page.expect_download() as waiting:
        page.click(f'a[href$="/{month}/en/workbook"]')
    book = load_workbook(BytesIO(Path(waiting.value.path()).read_bytes()))
    summary = {row[0]: row[1] for row in book["Summary"].iter_rows(values_only=True)}
    assert round(summary["Revenue"], 2) == round(float(revenue), 2)
    page.context.close()


def test_incidents_can_be_acknowledged_in_the_browser(platform: RunningPlatform, browser: Browser) -> None:
    wait_for(platform.is_idle)
    platform.change('alter table "Purchasing"."Vendor" rename column "CreditRating" to "Rating"')
    unresolved = "select acknowledged_by from ops.incident where asset = 'Purchasing_Vendor' and resolved_at is null"
    wait_for(lambda: platform.sql("warehouse", unresolved))
    page = signed_in(browser, platform)
    page.goto(f"{platform.ui}/dashboard/incidents")
    page.screenshot(path=SCREENSHOT_FOLDER / "incident-open.png", full_page=True)
    page.locator(".incident.open", has_text="Purchasing_Vendor").get_by_role("button", name="Acknowledge").click()
    page.locator(".incident.acknowledged", has_text="Purchasing_Vendor").wait_for()
    assert platform.sql("warehouse", unresolved) == [("admin",)]
    platform.change('alter table "Purchasing"."Vendor" rename column "Rating" to "CreditRating"')
    wait_for(lambda: not platform.sql("warehouse", unresolved))
    page.context.close()


def test_reports_that_show_a_changed_month_are_filed_again(platform: RunningPlatform) -> None:
    wait_for(platform.is_idle)
    order, line, month = any_order(platform, months_ago=4)
    filed = "select month, string_agg(digest, ' ' order by language, kind) from ops.report_file group by month"
    before = dict(platform.sql("warehouse", filed))
    sold = platform.sql("warehouse", "select distinct to_char(month, 'YYYY-MM') from marts.monthly_profit")
    months = sorted(row[0] for row in sold)
    assert set(before) == set(months)
    # The month may have been restated before.
    reported = "select revision, status from ops.monthly_report where month = %s"
    [(revision, _)] = platform.sql("warehouse", reported, (month,))
    platform.change(*sell_one_more(order, line))
    wait_for(lambda: platform.sql("warehouse", reported, (month,)) == [(revision + 1, "restated")])
    wait_for(platform.is_idle)
    after = dict(platform.sql("warehouse", filed))
    # The month itself and the four later ones that show it as previous month, in the year to date or in the chart.
    showing = [key for key in months if shows_any(key, [month])]
    assert len(showing) == 5
    assert {key for key in months if after[key] != before[key]} == set(showing)
    states = platform.sql("warehouse", "select month, status from ops.monthly_report where status = 'refreshed'")
    # The newest complete month is announced itself, and the month after it is not over.
    assert {key for key, _ in states} >= set(showing[1:-2]), (
        "the other reports are only filed again because they are compared with it"
    )
    [(changes,)] = platform.sql("warehouse", "select changes from ops.monthly_report where month = %s", (month,))
    assert {change["part"] for change in json.loads(changes)} == {"total", "region", "category"}
    [(path, size)] = platform.sql(
        "warehouse",
        "select path, bytes from ops.report_file where month = %s and language = 'en' and kind = 'document'",
        (month,),
    )
    assert (platform.home / "reports" / path).stat().st_size == size


def test_a_frozen_scheduler_and_its_recovery_are_reported(
    platform: RunningPlatform, inbox: tuple[Inbox, dict[str, str]]
) -> None:
    received, _ = inbox
    wait_for(platform.is_idle)
    received.mails.clear()
    family = [
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if "scheduler" in (process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("ADVENTUREWORKS_HOME") == str(platform.home)
    ]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: received.about("scheduler_is_alive")[0], seconds=180)
    finally:
        for process in family:
            process.send_signal(signal.SIGCONT)
    wait_for(
        lambda: any("recovered" in str(mail["subject"]) for mail in received.about("scheduler_is_alive")[0]), seconds=60
    )
    mails, _ = received.about("scheduler_is_alive")
    assert {mail["to"] for mail in mails} == {"platform@localhost"}
    assert len(mails) == 2
