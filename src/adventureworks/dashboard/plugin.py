"""The plugin that Airflow finds: the dashboard in the menu, and a tab on each DAG's page."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from adventureworks.dashboard.app import PREFIX, app


class DashboardPlugin(AirflowPlugin):
    """Serves the dashboard below `/dashboard`, behind Airflow's login."""

    name = "adventureworks_dashboard"
    fastapi_apps = [{"app": app, "url_prefix": PREFIX, "name": "AdventureWorks"}]  # noqa: RUF012 - Airflow's way
    external_views = [  # noqa: RUF012
        {
            "name": "AdventureWorks",
            "href": f"{PREFIX}/overview",
            "destination": "nav",
            "url_route": "adventureworks",
            "icon": f"{PREFIX}/static/icon.svg",
            "icon_dark_mode": f"{PREFIX}/static/icon-dark.svg",
        },
        {
            "name": "Marts",
            "href": f"{PREFIX}/dag/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "adventureworks_marts",
        },
    ]
