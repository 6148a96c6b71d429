"""The thin layer between Airflow and the platform: what the DAG files are wired from.

Everything it calls is plain Python that knows nothing of Airflow. Heavy imports happen inside the tasks: a DAG file is
parsed again and again.
"""

from adventureworks.orchestration.analyses import analysis
from adventureworks.orchestration.ingestion import check, detect, load, publish_tables, tell
from adventureworks.orchestration.schedules import asset, changes, settings_for, source_changes

__all__ = [
    "analysis",
    "asset",
    "changes",
    "check",
    "detect",
    "load",
    "publish_tables",
    "settings_for",
    "source_changes",
    "tell",
]
