"""The plugin that Airflow finds: the dashboard in the menu, and a tab on each DAG's page."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from adventureworks.dashboard import PREFIX

logger = logging.getLogger(__name__)

# What the browser asks for: below the path of Airflow's base_url, if it has one.
_AT = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + PREFIX


class _Apps:
    """The apps to mount, imported on access: only the API server reads this attribute.

    A dashboard that cannot be imported is logged and left out. Without the API server no task could run.
    """

    def __get__(self, plugin: object, owner: type) -> list[dict[str, Any]]:
        try:
            from adventureworks.dashboard.app import app
        except Exception:
            logger.exception("The dashboard cannot be served.")
            return []
        return [{"app": app, "url_prefix": PREFIX, "name": "AdventureWorks"}]


class DashboardPlugin(AirflowPlugin):
    """Serves the dashboard below `/dashboard`, behind Airflow's login."""

    name = "adventureworks_dashboard"
    fastapi_apps = _Apps()
    external_views = [  # noqa: RUF012 - Airflow's way
        {
            "name": "AdventureWorks",
            "href": f"{_AT}/overview",
            "destination": "nav",
            "url_route": "adventureworks",
            "icon": f"{_AT}/static/icon.svg",
            "icon_dark_mode": f"{_AT}/static/icon-dark.svg",
        },
        {
            "name": "Marts",
            "href": f"{_AT}/dag/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "adventureworks_marts",
        },
    ]
