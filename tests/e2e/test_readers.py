"""What users see of a running platform: the dashboard in a browser, and messages of the watch."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from openpyxl import load_workbook
from playwright.sync_api import BrowserContext, Page, ViewportSize, sync_playwright

from adventureworks.catalog.pages import address
from tests.e2e.running import Inbox, RunningPlatform, wait_for

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
    "asset/Sales_SalesOrderDetail",
    "asset/unknown",
    *(address(mart) for mart in ("territory_sales", "customer_churn", "purchase_proposal")),
)
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
"""The folder for pictures of the pages; empty for none, because they take a second of processor time each."""


@pytest.fixture(scope="module")
def signed_in(platform: RunningPlatform) -> Iterator[BrowserContext]:
    """Debian's Chromium, in which a user has signed in: once, because Airflow's first page is slow."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine (make programs installs it)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        context = chromium.new_context(viewport=DESKTOP, accept_downloads=True)
        page = context.new_page()
        passwords = json.loads((platform.home / "secrets" / "airflow-passwords.json").read_text())
        page.goto(platform.ui)
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", passwords["admin"])
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "login" not in url)
        page.close()
        yield context
        chromium.close()


@pytest.fixture
def page(signed_in: BrowserContext) -> Iterator[Page]:
    """A new page of the user who has signed in."""
    page = signed_in.new_page()
    yield page
    page.close()


def take_picture(page: Page, name: str) -> None:
    """Take a picture of the whole page if pictures are wanted."""
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS, f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["light-desktop", "dark-phone"])
def test_every_page_is_accessible_and_fits_the_screen(
    platform: RunningPlatform, page: Page, scheme: Literal["light", "dark"], size: ViewportSize
) -> None:
    wait_for(platform.is_idle)
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    requested: set[str] = set()
    page.on("request", lambda request: requested.add(request.url))
    for name in PAGES:
        page.goto(f"{platform.ui}/dashboard/{name}")
        for chart in page.locator("[data-chart]").all():
            chart.locator("svg").first.wait_for()
        assert page.locator("html").get_attribute("data-scheme") == scheme
        take_picture(page, f"{re.sub(r'[^a-z]+', '-', name)}-{scheme}-{size['width']}")
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert serious == [], name
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{name} is wider than the screen"
    assert errors == []
    assert {url for url in requested if not url.startswith((platform.ui, "data:"))} == set(), (
        "nothing is loaded from other hosts"
    )


def test_the_dashboard_opens_from_airflows_menu(platform: RunningPlatform, page: Page) -> None:
    page.goto(f"{platform.ui}/plugin/adventureworks")
    inside = page.frame_locator("iframe")
    inside.locator("h1", has_text="Overview").wait_for()
    page.goto(f"{platform.ui}/dags/sales_territory_analysis/plugin/adventureworks_marts")
    inside.locator("h1", has_text="territory_sales").wait_for()


def test_airflows_page_of_an_asset_links_to_the_page_of_the_table_or_mart(
    platform: RunningPlatform, page: Page
) -> None:
    assets = {asset["name"]: asset["id"] for asset in platform.api("/api/v2/assets?limit=200")["assets"]}
    page.goto(f"{platform.ui}/assets/{assets['daily_sales']}")
    page.get_by_role("link", name="AdventureWorks: daily_sales").click()
    page.wait_for_url("**/dashboard/asset/daily_sales")
    page.locator("h1", has_text="daily_sales").wait_for()
    page.goto(f"{platform.ui}/assets/{assets['settled_data']}")
    page.get_by_text("The last publication sends the event").wait_for()
    assert page.get_by_role("link", name=re.compile("AdventureWorks:")).count() == 0, "it has no such page"


def test_links_open_airflows_pages_outside_the_frame(platform: RunningPlatform, page: Page) -> None:
    links = {"DAG daily_sales_etl, daily_sales": "/dags/daily_sales_etl", "Asset daily_sales": "/assets"}
    for link, target in links.items():
        page.goto(f"{platform.ui}/plugin/adventureworks")
        inside = page.frame_locator("iframe")
        inside.get_by_role("link", name="Freshness and quality").click()
        inside.get_by_role("link", name=link, exact=True).click()
        page.wait_for_url(f"**{target}**")


def test_a_downloaded_report_agrees_with_the_warehouse(platform: RunningPlatform, page: Page) -> None:
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


def test_incidents_can_be_acknowledged_in_the_browser(platform: RunningPlatform, page: Page) -> None:
    wait_for(platform.is_idle)
    platform.change('alter table "Purchasing"."Vendor" rename column "CreditRating" to "Rating"')
    unresolved = "select acknowledged_by from ops.incident where asset = 'Purchasing_Vendor' and resolved_at is null"
    wait_for(lambda: platform.sql("warehouse", unresolved))
    page.goto(f"{platform.ui}/dashboard/incidents")
    take_picture(page, "incident-open")
    page.locator(".incident.open", has_text="Purchasing_Vendor").get_by_role("button", name="Acknowledge").click()
    page.locator(".incident.acknowledged", has_text="Purchasing_Vendor").wait_for()
    assert platform.sql("warehouse", unresolved) == [("admin",)]
    platform.change('alter table "Purchasing"."Vendor" rename column "Rating" to "CreditRating"')
    wait_for(lambda: not platform.sql("warehouse", unresolved))


def test_a_frozen_scheduler_and_its_recovery_are_reported(
    platform: RunningPlatform, inbox: tuple[Inbox, dict[str, str]]
) -> None:
    received, _ = inbox
    wait_for(platform.is_idle)
    received.mails.clear()
    scheduler = platform.scheduler()
    scheduler.suspend()
    try:
        wait_for(lambda: received.about("scheduler_is_alive")[0], seconds=180)
    finally:
        scheduler.resume()
    wait_for(
        lambda: any("recovered" in str(mail["subject"]) for mail in received.about("scheduler_is_alive")[0]), seconds=60
    )
    mails, _ = received.about("scheduler_is_alive")
    assert {mail["to"] for mail in mails} == {"platform@localhost"}
    assert len(mails) == 2
