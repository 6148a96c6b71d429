"""Measures how soon the dashboard's pages appear in a browser.

Run: python -m bench.pages [ROUNDS], while the platform of ADVENTUREWORKS_HOME is running. Needs Chromium.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from statistics import median

from playwright.sync_api import Page, sync_playwright

from adventureworks.catalog.pages import address, asset_address
from adventureworks.embedded import airflow
from adventureworks.embedded.home import Home
from adventureworks.settings import settings

PAGES = ("overview", "forecast", "quality", "incidents", "lineage", "reports")
ANALYSES = ("daily_sales", "territory_sales", "customer_value", "product_performance", "monthly_profit", "data_quality")
DRILL_DOWNS = (
    "figure/revenue?month=2014-05",
    "figure/revenue?month=2014-05&channel=online",
    "figure/revenue?month=2014-05&channel=online&territory=4",
    "forecast?channel=online&territory=4",
    asset_address("fact_sales"),
    f"{asset_address('Sales_SalesOrderDetail')}?steps=3",
    "search?q=mountain",
)
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def page_times(home: Home, rounds: int = 5) -> Mapping[str, float]:
    """Return the milliseconds until something is painted, by page: medians of several visits after a first one.

    Raises `RuntimeError` if no platform is running in `home`, or if there is no Chromium.
    """
    owner, program = home.holder("run"), shutil.which("chromium") or shutil.which("google-chrome")
    if not owner or not program:
        raise RuntimeError("This needs a running platform and Chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        # The dashboard's policy does not allow the scripts that Playwright waits with.
        page = browser.new_page(bypass_csp=True)
        page.goto(owner["url"])
        page.fill("input[name=username]", airflow.USER)
        page.fill("input[name=password]", airflow.password(home))
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "login" not in url)
        names = [*PAGES, *map(address, ANALYSES), *DRILL_DOWNS]
        found = {name: _painted(page, f"{owner['url']}/dashboard/{name}", rounds) for name in names}
        browser.close()
    return found


def _painted(page: Page, url: str, rounds: int) -> float:
    times = []
    for _ in range(rounds + 1):
        page.goto(url)
        page.wait_for_function(PAINTED)
        times.append(float(page.evaluate(PAINTED)))
    return median(times[1:])


def main() -> None:
    """Print the time of each page."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for name, milliseconds in page_times(Home(settings().home), rounds).items():
        print(f"{milliseconds:6.0f} ms  {name}")


if __name__ == "__main__":
    main()
