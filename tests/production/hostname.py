"""Airflow's hostname callable for tests in which the processes of one machine represent several hosts."""

import os


def own() -> str:
    """Return the name that the test gives to this host."""
    return os.environ["TOPOLOGY_HOST"]
