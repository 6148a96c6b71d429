"""The name by which Airflow knows a machine, where several machines are processes of one."""

import os


def own() -> str:
    """What the test calls this machine."""
    return os.environ["TOPOLOGY_HOST"]
