#!/bin/sh
# Creates the databases named in OWNERS, each with an owner of the same name that is not a superuser, and the role
# READER, which may read every present and future table of the first one but change nothing. PostgreSQL's image runs this
# on an empty volume; it may be run again by hand. The passwords are in <NAME>_PASSWORD.
set -eu

as_superuser() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

# psql reads the password from its environment, so that no process list shows it.
make_role() {
    as_superuser --dbname postgres --set role="$1" --set variable="$2" <<'SQL'
\getenv password :variable
select format('create role %I login', :'role') where not exists (select from pg_roles where rolname = :'role') \gexec
alter role :"role" password :'password';
SQL
}

for owner in $OWNERS; do
    make_role "$owner" "$(echo "$owner" | tr '[:lower:]' '[:upper:]')_PASSWORD"
    as_superuser --dbname postgres --set owner="$owner" <<'SQL'
select format('create database %I owner %I', :'owner', :'owner')
where not exists (select from pg_database where datname = :'owner') \gexec
revoke all on database :"owner" from public;
SQL
done

if [ -n "${READER:-}" ]; then
    make_role "$READER" READER_PASSWORD
    as_superuser --dbname "${OWNERS%% *}" --set owner="${OWNERS%% *}" --set reader="$READER" <<'SQL'
alter role :"reader" set default_transaction_read_only = on;
grant connect on database :"owner" to :"reader";
alter default privileges for role :"owner" grant usage on schemas to :"reader";
alter default privileges for role :"owner" grant select on tables to :"reader";
alter default privileges for role :"owner" grant select on sequences to :"reader";
SQL
fi
