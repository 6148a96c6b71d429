#!/bin/sh
# Writes .env for docker-compose.yaml: every secret is random, and only the owner may read the file.
#
#     deploy/set-up.sh SOURCE      a folder of files, the URL of a database, an object store or a download, or
#                                  `sqlserver` for the database of the profile
#
# Run it again after an upgrade: the lines in .env are kept, and what the new version needs is added.
set -eu
umask 077
source=${1:-}

# The host of a URL: without scheme, user, password, port, path and options.
host_of() {
    printf '%s\n' "$1" | sed -e 's|^[^:]*://||' -e 's|[/?#].*$||' -e 's|^.*@||' -e 's|:[0-9]*$||' | tr '[:upper:]' '[:lower:]'
}

case $(case $source in *://*) host_of "$source" ;; esac) in
    localhost | *.localhost | 127.* | "[::1]" | 0.0.0.0)
        echo "The source is on localhost, which inside a container is the container itself." >&2
        echo "For a server on this machine, write host.docker.internal: docs/operate/compose.md#a-source-on-this-machine" >&2
        exit 1
        ;;
esac
case $source in
    [Ff][Ii][Ll][Ee]://*)
        echo "Inside a container, a file:// URL names the container's own files. Give the folder: deploy/set-up.sh FOLDER" >&2
        exit 1
        ;;
    *"'"*) echo "The source must not contain an apostrophe; in a URL, write %27." >&2; exit 1 ;;
    "" | sqlserver | *://*) ;;
    *)
        [ -d "$source" ] || { echo "The source $source is not a folder." >&2; exit 1; }
        source=$(cd "$source" && pwd)
        ;;
esac
cd "$(dirname "$0")/.."
if [ -z "$source" ] && ! grep -qs '^ADVENTUREWORKS_SOURCE\(_URL\|_FOLDER\)\?=' .env; then
    echo "Which source? deploy/set-up.sh FOLDER, or deploy/set-up.sh postgresql://reader:PASSWORD@host/database" >&2
    exit 2
fi

# Without a final newline, the last line would run into the first one that is added.
if [ -s .env ] && [ -n "$(tail -c 1 .env)" ]; then echo >> .env; fi

random_hex() {
    od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'
}

# A Fernet key: 32 random bytes in URL-safe base64.
random_key() {
    head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'
}

own_user() {
    # A container must not run as root, even if root sets it up.
    if [ "$(id -u)" -eq 0 ]; then echo 50000; else id -u; fi
}

is_set() {
    [ -f .env ] && grep -q "^$1=" .env
}

value_of() {
    sed -n "s/^$1='\(.*\)'$/\1/p" .env
}

keep() {
    if ! is_set "$1"; then
        printf "%s='%s'\n" "$1" "$2" >> .env
        added="${added:-} $1"
    fi
}

if [ -n "$source" ] && { is_set ADVENTUREWORKS_SOURCE_URL || is_set ADVENTUREWORKS_SOURCE_FOLDER; }; then
    echo ".env already names a source, and is not overwritten. To change it, edit .env, then: docker compose up -d" >&2
    exit 1
fi

# SQL Server requires three kinds of characters.
keep SQLSERVER_PASSWORD "Aw-$(random_hex 24)"
keep SQLSERVER_READER_PASSWORD "Aw-$(random_hex 24)"
case $source in
    "") ;;
    sqlserver)
        # Its certificate is self-signed: traffic is encrypted, but the server is not verified. The network is that of the
        # containers.
        keep ADVENTUREWORKS_SOURCE_URL "mssql://aw_reader:$(value_of SQLSERVER_READER_PASSWORD)@sqlserver:1433/AdventureWorks?tls=encrypt"
        keep COMPOSE_PROFILES warehouse,sqlserver
        ;;
    *://*) keep ADVENTUREWORKS_SOURCE_URL "$source" ;;
    *) keep ADVENTUREWORKS_SOURCE_FOLDER "$source" ;;
esac
keep COMPOSE_PROFILES warehouse
keep ADVENTUREWORKS_UID "$(own_user)"
keep AIRFLOW_ADMIN_NAME admin
keep AIRFLOW_ADMIN_EMAIL admin@example.com
keep AIRFLOW_ADMIN_PASSWORD "$(random_hex 16)"
keep AIRFLOW_FERNET_KEY "$(random_key)"
keep AIRFLOW_JWT_SECRET "$(random_hex 64)"
keep AIRFLOW_API_SECRET "$(random_hex 32)"
keep AIRFLOW_DATABASE_PASSWORD "$(random_hex 24)"
keep POSTGRES_PASSWORD "$(random_hex 24)"
keep REDIS_PASSWORD "$(random_hex 24)"
keep WAREHOUSE_PASSWORD "$(random_hex 24)"
keep WAREHOUSE_READER_PASSWORD "$(random_hex 24)"
keep ADVENTUREWORKS_WAREHOUSE_URL "postgresql://warehouse:$(value_of WAREHOUSE_PASSWORD)@warehouse:5432/warehouse"
keep WAREHOUSE_READER_URL "postgresql://reader:$(value_of WAREHOUSE_READER_PASSWORD)@warehouse:5432/warehouse"
keep SUPERSET_SECRET "$(random_hex 32)"
keep SUPERSET_ADMIN_PASSWORD "$(random_hex 16)"
keep SUPERSET_DATABASE_PASSWORD "$(random_hex 24)"
chmod 600 .env
mkdir -p settings
chmod 755 settings
# Services read these as other users, even if the clone is private.
for folder in deploy/postgres deploy/sqlserver deploy/superset; do
    if [ -d "$folder" ]; then chmod -R o+rX "$folder"; fi
done

if [ -n "${added:-}" ]; then echo "Added to .env:$added"; else echo "Nothing was missing in .env."; fi
