#!/bin/bash
# Run once by the image of PostgreSQL, on an empty data folder: a user without administrator's rights who owns one database
# and its tables (`penstock migrate`, the operator's command), and one that may only do the persister's work. An application
# that reads gets a user of its own: CREATE ROLE crm LOGIN PASSWORD '..' IN ROLE penstock_reader; GRANT CONNECT ON DATABASE
# penstock TO crm.
set -eu
psql --set ON_ERROR_STOP=1 --username postgres --dbname postgres <<'SQL'
\set password `cat /run/secrets/postgres-password`
\set persister_password `cat /run/secrets/postgres-persister-password`
CREATE ROLE penstock LOGIN PASSWORD :'password';
CREATE ROLE penstock_writer NOLOGIN;
CREATE ROLE penstock_reader NOLOGIN;
CREATE ROLE persister LOGIN PASSWORD :'persister_password' IN ROLE penstock_writer;
CREATE DATABASE penstock OWNER penstock ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT, TEMPORARY ON DATABASE penstock FROM PUBLIC;
GRANT CONNECT ON DATABASE penstock TO persister;
SQL
