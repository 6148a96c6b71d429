"""
### Data quality

**Answers**: which rules does our data keep, which not, how many rows are affected, and is it getting better?
**Starts** when any table or mart changed and everything else is up to date; daily at 05:00 UTC at the latest.
**Publishes** `data_quality`: one row per rule and run, with scores by table, dimension and overall. Earlier runs stay.
**Mind**: it counts what the gate found and also what the source allows although it is odd: lines sold after the end of
sale, expired cards, persons who are there twice. Known defects are counted, not hidden.
**If it fails**: the last good version stays. `adventureworks status data_quality` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("data_quality_control"), doc_md=__doc__, **settings_for("data_quality_control"))
def data_quality_control() -> None:
    """Build, gate, publish."""
    analysis("data_quality_control")


data_quality_control()
