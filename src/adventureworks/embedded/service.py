"""Starts a service or a command of Airflow as `airflow` does, with what slows its start left out.

Run as `python -m adventureworks.embedded.service scheduler`.
"""

from __future__ import annotations

import sys

from adventureworks.garbage import collect_rarely

WITH_EXECUTION_API = ("api-server", "dag-processor", "triggerer")
"""The services that answer tasks, triggers or DAG files."""


def offer_newest_execution_api() -> None:
    """Leaves only the newest version of the API that tasks talk to.

    Here, client and server are of one installation. Deriving the older versions takes seconds at each start.
    """
    from airflow.api_fastapi.execution_api import routes, versions
    from cadwyn import HeadVersion, Version, VersionBundle
    from cadwyn.route_generation import _DELETED_ROUTE_TAG

    versions.bundle = VersionBundle(HeadVersion(), Version(versions.bundle.versions[0].value))
    router = routes.execution_api_router
    router.routes[:] = [route for route in router.routes if _DELETED_ROUTE_TAG not in getattr(route, "tags", ())]


def main() -> None:
    """Runs the command that the arguments name."""
    collect_rarely()
    if sys.argv[1] in WITH_EXECUTION_API:
        offer_newest_execution_api()
    from airflow.__main__ import main as airflow

    airflow()


if __name__ == "__main__":
    main()
