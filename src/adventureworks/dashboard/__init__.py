"""The page for people of the business, inside Airflow's UI.

`plugin` puts it into the menu, `app` answers the browser (behind Airflow's login), `figures` reads what it shows.
`adventureworks.lineage` knows what a column is made of; charts are those of `adventureworks.charts`.
"""

PREFIX = "/dashboard"
"""The path below which Airflow serves it."""
