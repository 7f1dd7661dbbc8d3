#!/bin/bash
# Run once, by the image of PostgreSQL on an empty data folder, or by you for a server of your own: a user without
# administrator's rights who owns one database and its tables (`penstock migrate`, the operator's command), and one that may
# only do the persister's work. An application that reads gets a user of its own: CREATE ROLE crm LOGIN PASSWORD '..'
# IN ROLE penstock_reader; GRANT CONNECT ON DATABASE penstock TO crm.
#
# By you, as whoever may create roles and databases there (no superuser is needed), with the files of make-secrets.sh:
#
#   PGHOST=db.example.com PGUSER=postgres PGPASSWORD=.. PENSTOCK_SECRETS=deploy/secrets-kubernetes deploy/postgres-init.sh
set -eu
export PENSTOCK_SECRETS="${PENSTOCK_SECRETS:-/run/secrets}"
psql --set ON_ERROR_STOP=1 --username "${PGUSER:-postgres}" --dbname "${PGDATABASE:-postgres}" <<'SQL'
\set password `cat "$PENSTOCK_SECRETS/postgres-password"`
\set persister_password `cat "$PENSTOCK_SECRETS/postgres-persister-password"`
CREATE ROLE penstock LOGIN PASSWORD :'password';
CREATE ROLE penstock_writer NOLOGIN;
CREATE ROLE penstock_reader NOLOGIN;
CREATE ROLE persister LOGIN PASSWORD :'persister_password' IN ROLE penstock_writer;
-- For as long as this takes: who is no superuser may only give a database to a role that is his.
GRANT penstock TO CURRENT_USER;
CREATE DATABASE penstock OWNER penstock ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT, TEMPORARY ON DATABASE penstock FROM PUBLIC;
GRANT CONNECT ON DATABASE penstock TO persister;
REVOKE penstock FROM CURRENT_USER;
SQL
