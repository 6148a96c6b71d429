"""
### Ingestion of the source database

**Answers**: which of the 71 source tables changed, and is the new data valid?
**Starts** when the watcher detects a change in the source, or a request of `adventureworks quarantine replay`; every 15
minutes at the latest, or hourly if changes are batched (`ADVENTUREWORKS_QUIET_SECONDS`); or manually, with a form
(with `{"everything": true}` it reads every table again; with `{"accept": ["TABLE"]}` this table and its publish unit
may lose rows and change in unusual ways, for this run only).
**Publishes** every changed table that passes its gate, all in one transaction, and one asset event for each.
Rows that break a contract or a reference are set aside in quarantine. A table that fails its checks keeps its last good
version, and so does its publish unit (an order's header and lines).
**If it fails**: nothing is published partially. `adventureworks status` shows the table and the rule,
`adventureworks quarantine show TABLE` the rows. Lost connections are retried automatically.
"""

from airflow.sdk import dag

from adventureworks.orchestration import (
    detect,
    form,
    load,
    notify_of_batch,
    publish_tables,
    settings_for,
    source_changes,
)


@dag(schedule=source_changes(), params=form(), doc_md=__doc__, **settings_for("ingest_source"))
def ingest_source() -> None:
    """Detect, load (mapped), check and publish, notify."""
    load.expand(group=detect()) >> publish_tables() >> notify_of_batch()


ingest_source()
