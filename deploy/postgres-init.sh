#!/bin/bash
# Run once by the image of PostgreSQL, on an empty data folder: a user without administrator's rights, who owns one
# database. It has to own the tables, because the persister adds their months and drops old ones.
set -eu
psql --set ON_ERROR_STOP=1 --username postgres --dbname postgres <<'SQL'
\set password `cat /run/secrets/postgres-password`
CREATE ROLE penstock LOGIN PASSWORD :'password';
CREATE DATABASE penstock OWNER penstock ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT, TEMPORARY ON DATABASE penstock FROM PUBLIC;
SQL
