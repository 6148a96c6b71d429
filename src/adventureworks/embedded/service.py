"""Entry point of Airflow's local services and commands, with a faster start.

Run as `python -m adventureworks.embedded.service scheduler`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from types import ModuleType

from adventureworks.garbage import collect_rarely


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


class BeforeExecutionApi(MetaPathFinder):
    """Has only the newest version offered when the execution API is imported.

    The scheduler never imports it, and the triggerer only for a trigger that asks for a connection or a variable.
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Find no module, but act just before this one is loaded."""
        if fullname == "airflow.api_fastapi.execution_api.app":
            sys.meta_path.remove(self)
            offer_newest_execution_api()


@cache
def prepare() -> None:
    """Import Airflow, without what slows its start down."""
    collect_rarely()
    sys.meta_path.insert(0, BeforeExecutionApi())
    import airflow.__main__  # noqa: F401


def main() -> None:
    """Run the command that the arguments name."""
    prepare()
    from airflow.__main__ import main as airflow

    airflow()


if __name__ == "__main__":
    main()
