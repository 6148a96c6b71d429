"""Celery configuration that makes a worker import what tasks need before it forks its processes.

`AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS` names it, so Airflow imports this module in every service that uses Celery;
only a worker warms up.
"""

from __future__ import annotations

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.signals import worker_init

from adventureworks.orchestration.warm import warm_up

CELERY_CONFIG = DEFAULT_CELERY_CONFIG
"""Airflow's own configuration, built from its settings."""


@worker_init.connect
def _import_before_forking(**_: object) -> None:
    warm_up()
