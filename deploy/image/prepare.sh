#!/bin/sh
# Migrates Airflow's database to the version of the image, and creates the first administrator. Safe to repeat.
set -eu

airflow db migrate

# Without a terminal, airflow reads the password from standard input, so that no process list shows it.
printf '%s\n%s\n' "$AIRFLOW_ADMIN_PASSWORD" "$AIRFLOW_ADMIN_PASSWORD" | airflow users create \
    --role Admin --username "$AIRFLOW_ADMIN_NAME" --email "$AIRFLOW_ADMIN_EMAIL" --firstname Platform --lastname Administrator
