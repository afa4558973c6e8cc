-- The catalog of a database of many tables, made by copying the rows of one table in the system catalogs,
-- which is much faster than to create them. Only for reading catalogs: the tables have no files.
--
--   PGOPTIONS='-c allow_system_table_mods=on -c many.tables=100000' psql -X -f many-tables-catalog.sql
--
-- Run it as superuser in an empty database of a server to be thrown away, with autovacuum and fsync off.
-- Each table has ten columns, two defaults, a primary key, an index and (on 18) two named NOT NULLs.
\set ON_ERROR_STOP on
CREATE SCHEMA many;
CREATE TABLE many.t0 (
    id bigint NOT NULL CONSTRAINT t0_pkey PRIMARY KEY, code varchar(20) DEFAULT 'none' NOT NULL,
    amount numeric(12,2), made timestamptz DEFAULT now(), flag boolean, day date, n integer, u uuid,
    c char(3), d double precision);
CREATE INDEX t0_code ON many.t0 (code, day);

-- What belongs to the table, numbered: a copy has the OID 1000000 + 20 * copy + number.
CREATE TEMP TABLE part AS
SELECT old, row_number() OVER () - 1 AS number FROM (
    SELECT oid AS old FROM pg_class WHERE oid = 'many.t0'::regclass
    UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = 'many.t0'::regclass
    UNION ALL SELECT oid FROM pg_type WHERE typrelid = 'many.t0'::regclass
    UNION ALL SELECT typarray FROM pg_type WHERE typrelid = 'many.t0'::regclass
    UNION ALL SELECT oid FROM pg_constraint WHERE conrelid = 'many.t0'::regclass
    UNION ALL SELECT oid FROM pg_attrdef WHERE adrelid = 'many.t0'::regclass) parts;

DO $$
DECLARE
    catalog record;
    columns text;
    expressions text;
BEGIN
    FOR catalog IN VALUES ('pg_class', 'oid'), ('pg_type', 'oid'), ('pg_attribute', 'attrelid'),
                          ('pg_index', 'indexrelid'), ('pg_constraint', 'oid'), ('pg_attrdef', 'oid'),
                          ('pg_depend', 'objid')
    LOOP
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum),
               string_agg(CASE
                   WHEN attname IN ('relname', 'typname', 'conname')
                       THEN format('replace(x.%I::text, ''t0'', ''t'' || copy)::name', attname)
                   WHEN attname = 'relfilenode' OR atttypid = 'oid'::regtype
                       THEN format('coalesce((SELECT (1000000 + copy * 20 + number)::oid FROM part WHERE old = x.%I), x.%I)',
                                   CASE attname WHEN 'relfilenode' THEN 'oid' ELSE attname END, attname)
                   ELSE format('x.%I', attname) END, ', ' ORDER BY attnum)
          INTO columns, expressions
          FROM pg_attribute
         WHERE attrelid = ('pg_catalog.' || catalog.column1)::regclass AND attnum > 0 AND NOT attisdropped
           AND attname <> 'attmissingval';
        EXECUTE format('INSERT INTO pg_catalog.%I (%s) SELECT %s FROM pg_catalog.%I x, generate_series(1, %s) copy '
                       'WHERE x.%I IN (SELECT old FROM part)',
                       catalog.column1, columns, expressions, catalog.column1,
                       current_setting('many.tables'), catalog.column2);
    END LOOP;
END $$;
VACUUM ANALYZE pg_class, pg_type, pg_attribute, pg_index, pg_constraint, pg_attrdef, pg_depend;
