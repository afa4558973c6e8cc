-- A sample database of a web shop: one or more of nearly every common kind of object and of value.
--
--   psql -v scale=1 -f create.sql DATABASE      about 200 MB; scale=0.02 for tests
--
-- Needs the roles of roles.sql and an empty database, as superuser. Works on PostgreSQL 13 to 18; newer
-- syntax is used where the server knows it. All values come from hashes of row numbers: two databases
-- made at the same scale are equal.
\set ON_ERROR_STOP on
\if :{?scale}
\else
\set scale 1
\endif
\set QUIET on
SET client_min_messages = warning;
SET timezone = 'UTC';
SET lc_monetary = 'C';
SELECT current_setting('server_version_num')::int >= 140000 AS has_14,
       current_setting('server_version_num')::int >= 150000 AS has_15,
       current_setting('server_version_num')::int >= 170000 AS has_17,
       current_setting('server_version_num')::int >= 180000 AS has_18 \gset

CREATE EXTENSION btree_gist;
COMMENT ON EXTENSION btree_gist IS 'exclusion constraints over scalars and ranges';

\ir types.sql
\ir tables.sql
\ir partitions.sql
\ir hostile.sql
\ir newer.sql
\ir routines.sql
\ir data.sql
\ir values.sql
\ir constraints.sql
\ir indexes.sql
\ir views.sql
\ir triggers.sql
\ir large-objects.sql
\ir access.sql
RESET ROLE;
ANALYZE;
