"""The local PostgreSQL and the local Airflow: start, supervision and stop. No other package starts a service."""
