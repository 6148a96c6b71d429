#!/bin/sh
# Brings Airflow's database to the version of the image, and makes the first administrator. Safe to repeat.
set -eu

airflow db migrate

# Asked for on a terminal that is not there, the password is read from here: no list of processes shows it.
printf '%s\n%s\n' "$AIRFLOW_ADMIN_PASSWORD" "$AIRFLOW_ADMIN_PASSWORD" | airflow users create \
    --role Admin --username "$AIRFLOW_ADMIN_NAME" --email "$AIRFLOW_ADMIN_EMAIL" --firstname Platform --lastname Administrator
