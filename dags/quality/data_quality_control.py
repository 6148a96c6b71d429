"""
### Data quality

**Answers**: which rules does our data meet, which not, how many rows are affected, and is it getting better?
**Reads** every source table and every other mart.
**Starts** when any table or mart has changed and everything else is up to date; daily at 05:00 UTC at the latest.
**Publishes** `data_quality`: one row per rule and run, with the worst result by table and dimension, and overall the
share of business rules that pass. Earlier runs are kept.
**Note**: it counts what the gate found, and also oddities that the source allows: lines sold after the end of sale,
expired cards, duplicate persons. Known defects are counted, not hidden. A rule that fails for every row is marked as
systematic.
**If it fails**: the last good version stays. `adventureworks status data_quality` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("data_quality_control"), doc_md=__doc__, **settings_for("data_quality_control"))
def data_quality_control() -> None:
    """Build, gate, publish."""
    analysis("data_quality_control")


data_quality_control()
