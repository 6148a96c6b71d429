"""The Airflow plugin: adds the dashboard to the menu, a tab to each DAG's page, and a link to each asset's page."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from adventureworks.dashboard import PREFIX

logger = logging.getLogger(__name__)

# The browser's path to the dashboard: under the path of Airflow's base_url, if it has one.
_BASE = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + PREFIX


class _Apps:
    """The apps to mount, imported on access because only the API server reads this attribute.

    If the dashboard cannot be imported, the error is logged and the API server starts without it, since no task can run
    without the API server.
    """

    def __get__(self, plugin: object, owner: type) -> list[dict[str, Any]]:
        try:
            from adventureworks.dashboard.app import app
        except Exception:
            logger.exception("The dashboard cannot be served.")
            return []
        return [{"app": app, "url_prefix": PREFIX, "name": "AdventureWorks"}]


class DashboardPlugin(AirflowPlugin):
    """Serves the dashboard under `/dashboard`, behind Airflow's login."""

    name = "adventureworks_dashboard"
    fastapi_apps = _Apps()
    external_views = [  # noqa: RUF012 - as Airflow expects it
        {
            "name": "AdventureWorks",
            "href": f"{_BASE}/overview",
            "destination": "nav",
            "url_route": "adventureworks",
            "icon": f"{_BASE}/static/icon.svg",
            "icon_dark_mode": f"{_BASE}/static/icon-dark.svg",
        },
        {
            "name": "Marts",
            "href": f"{_BASE}/dag/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "adventureworks_marts",
        },
    ]
    react_apps = [  # noqa: RUF012 - as Airflow expects it
        {
            "name": "AdventureWorks asset",
            "bundle_url": f"{_BASE}/static/asset-link.js",
            "destination": "base",
        },
    ]
