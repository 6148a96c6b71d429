"""Entry point of Airflow's local services and commands, with a faster start.

Run as `python -m adventureworks.embedded.service scheduler`.
"""

from __future__ import annotations

import sys

from adventureworks.garbage import collect_rarely

WITH_EXECUTION_API = frozenset({"api-server", "dag-processor", "triggerer"})
"""Services that build the execution API, which tasks, triggers and DAG files use."""


def offer_newest_execution_api() -> None:
    """Offer only the newest version of the execution API.

    Client and server are always of the same version here. Generating the older versions takes seconds at each start.
    """
    from airflow.api_fastapi.execution_api import routes, versions
    from cadwyn import HeadVersion, Version, VersionBundle
    from cadwyn.route_generation import _DELETED_ROUTE_TAG

    versions.bundle = VersionBundle(HeadVersion(), Version(versions.bundle.versions[0].value))
    # Cadwyn rejects a deleted route that no older version restores.
    router = routes.execution_api_router
    router.routes[:] = [route for route in router.routes if _DELETED_ROUTE_TAG not in getattr(route, "tags", ())]


def main() -> None:
    """Run the command that the arguments name."""
    collect_rarely()
    if WITH_EXECUTION_API.intersection(sys.argv[1:2]):
        offer_newest_execution_api()
    from airflow.__main__ import main as airflow

    airflow()


if __name__ == "__main__":
    main()
