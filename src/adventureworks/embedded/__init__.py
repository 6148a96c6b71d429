"""The local PostgreSQL and the local Airflow: started, watched and stopped. Nothing else starts a service."""
