"""The dashboard for business users, inside Airflow's UI.

`plugin` adds it to the menu, `app` serves the pages (behind Airflow's login), `figures` reads what they show. The
lineage comes from `adventureworks.lineage`, the charts from `adventureworks.charts`.
"""

PREFIX = "/dashboard"
"""The path under which Airflow serves it."""
