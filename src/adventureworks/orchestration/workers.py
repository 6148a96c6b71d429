"""Celery workers that have imported what tasks need before they fork the processes that run them.

Named by `AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS`: Airflow then imports this module in every service that has to do with
Celery, and only a worker warms up.
"""

from __future__ import annotations

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.signals import worker_init

from adventureworks.orchestration.warm import warm_up

CELERY_CONFIG = DEFAULT_CELERY_CONFIG
"""Airflow's own, made from its settings."""


@worker_init.connect
def _import_before_forking(**_: object) -> None:
    warm_up()
