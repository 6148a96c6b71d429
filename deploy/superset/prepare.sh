#!/bin/sh
# Brings Superset's database up to date, creates its administrator, and adds the warehouse. Safe to repeat.
set -eu

superset db upgrade
printf '%s\n%s\n' "$SUPERSET_ADMIN_PASSWORD" "$SUPERSET_ADMIN_PASSWORD" | superset fab create-admin \
    --username "$SUPERSET_ADMIN_NAME" --email "$SUPERSET_ADMIN_EMAIL" --firstname Platform --lastname Administrator
superset init
superset set-database-uri --database_name AdventureWorks --uri "$WAREHOUSE_READER_URL"
