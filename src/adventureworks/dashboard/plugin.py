"""The plugin that Airflow finds: the dashboard in the menu, and a tab on each DAG's page."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from adventureworks.dashboard.app import PREFIX, app

# What the browser asks for: below the path of Airflow's base_url, if it has one.
_AT = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + PREFIX


class DashboardPlugin(AirflowPlugin):
    """Serves the dashboard below `/dashboard`, behind Airflow's login."""

    name = "adventureworks_dashboard"
    fastapi_apps = [{"app": app, "url_prefix": PREFIX, "name": "AdventureWorks"}]  # noqa: RUF012 - Airflow's way
    external_views = [  # noqa: RUF012
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
