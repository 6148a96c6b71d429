"""Imports what tasks need. The processes of tasks are forked from one that has imported this module."""

import airflow.providers.smtp.hooks.smtp

from adventureworks.catalog import INGESTION
from adventureworks.garbage import collect_rarely
from adventureworks.messaging import composing
from adventureworks.orchestration import channels, dispatch, lineage, notify
from adventureworks.orchestration.warm import warm_up
from adventureworks.orchestration.watch import load_airflow
from adventureworks.reports import mailing
from tests.chaos import tasks
from tests.chaos.platform import DAGS

PREPARED = (airflow.providers.smtp.hooks.smtp, channels, composing, dispatch, lineage, mailing, notify)

collect_rarely()
warm_up()
load_airflow()
for dag in (INGESTION, *DAGS):
    tasks.declared(dag)
