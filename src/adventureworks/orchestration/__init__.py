"""The thin layer between Airflow and the platform: the building blocks of the DAG files.

Everything it calls is plain Python without Airflow. Heavy imports happen inside the tasks, because Airflow parses each
DAG file again and again.
"""

from adventureworks.orchestration.analyses import analysis
from adventureworks.orchestration.ingestion import detect, form, load, notify_of_batch, publish_tables
from adventureworks.orchestration.schedules import asset, changes, settings_for, source_changes

__all__ = [
    "analysis",
    "asset",
    "changes",
    "detect",
    "form",
    "load",
    "notify_of_batch",
    "publish_tables",
    "settings_for",
    "source_changes",
]
