//! The queries for relations, and the conditions that several kinds share.

/// Holds for namespaces `n` whose objects are the user's.
pub(in crate::kinds) const USER_NAMESPACE: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Whether the check constraint `con` is added by a statement of its own, after
/// the rows: rows may break it, or it needs more than its own table and the types
/// of its columns, such as a function that may read other tables.
pub(in crate::kinds) const CHECK_IS_SEPARATE: &str = "(NOT con.convalidated OR EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = con.oid
      AND d.refclassid <> 'pg_catalog.pg_constraint'::pg_catalog.regclass
      AND NOT (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = con.conrelid)
      AND NOT (d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid IN (
        SELECT ca.atttypid FROM pg_catalog.pg_attribute ca WHERE ca.attrelid = con.conrelid))))";

/// Whether the default `ad` of column `a` of relation `c` is set by a statement
/// of its own: the relation is a view, `CREATE TABLE` does not name the column,
/// or the expression needs more than its own table and the column's type.
/// Generation expressions never are.
pub(in crate::kinds) const DEFAULT_IS_SEPARATE: &str = "(ad.oid IS NOT NULL AND a.attgenerated = '' AND (
    c.relkind = 'v' OR NOT (a.attislocal OR c.relispartition) OR EXISTS (
      SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = ad.oid
        AND NOT (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ad.adrelid)
        AND NOT (d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = a.atttypid))))";

/// Whether the valid constraint `con` of a child comes with a parent's that is not valid, which is added
/// after the rows: it becomes valid by a statement of its own. A partition has its own checks before it is
/// attached.
pub(in crate::kinds) fn is_validated_later(con: &str, major: u32) -> String {
    let parent = |condition: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_inherits inh
               JOIN pg_catalog.pg_constraint pn ON pn.conrelid = inh.inhparent AND pn.contype = {con}.contype
             WHERE inh.inhrelid = {con}.conrelid AND {condition})"
        )
    };
    let not_valid = parent(&format!("pn.conname = {con}.conname AND NOT pn.convalidated"));
    let valid_check = parent(&format!("pn.conname = {con}.conname AND pn.convalidated"));
    let check = format!("NOT {con}.conislocal AND {not_valid} AND NOT {valid_check} AND NOT c.relispartition");
    if major < 18 {
        return format!("({con}.contype = 'c' AND {con}.convalidated AND {check})");
    }
    let column = "(SELECT ca.attname FROM pg_catalog.pg_attribute ca WHERE ca.attrelid = con.conrelid \
                  AND ca.attnum = con.conkey[1])"
        .replace("con.", &format!("{con}."));
    let valid_not_null = parent(&format!(
        "pn.convalidated AND NOT pn.connoinherit AND {column} = (SELECT pa.attname
           FROM pg_catalog.pg_attribute pa WHERE pa.attrelid = pn.conrelid AND pa.attnum = pn.conkey[1])"
    ));
    format!(
        "({con}.convalidated AND CASE {con}.contype WHEN 'c' THEN {check}
           WHEN 'n' THEN NOT {con}.conislocal AND {not_valid} AND NOT {valid_not_null}
           WHEN 'f' THEN {con}.conparentid <> 0 AND EXISTS (SELECT FROM pg_catalog.pg_constraint pn
             WHERE pn.oid = {con}.conparentid AND NOT pn.convalidated)
           ELSE false END)"
    )
}

/// The extensions that the object `oid` of catalog `class` goes away with. Hardly a database has any
/// such object, which is found out once for all of a kind.
pub(in crate::kinds) fn depends_on_extensions(class: &str, oid: &str) -> String {
    format!(
        "CASE WHEN (SELECT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE deptype = 'x')) THEN
           ARRAY(SELECT e.extname FROM pg_catalog.pg_depend x
             JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
           WHERE x.classid = 'pg_catalog.{class}'::pg_catalog.regclass AND x.objid = {oid} AND x.deptype = 'x'
             AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass ORDER BY 1)
         ELSE '{{}}' END"
    )
}

/// The options of `column` as a list of name and value, by name.
fn fdw_options(column: &str) -> String {
    format!(
        "CASE WHEN {column} IS NULL THEN '{{}}'::json[] ELSE
         ARRAY(SELECT pg_catalog.json_build_array(o.option_name, COALESCE(o.option_value, ''))
               FROM pg_catalog.pg_options_to_table({column}) o ORDER BY o.option_name) END"
    )
}

/// Tables or materialized views, by a list of `relkind`s.
pub(in crate::kinds) fn relations(relkinds: &str) -> String {
    format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name,
           pg_catalog.pg_get_userbyid(c.relowner) AS owner, c.relacl::text[] AS acl,
           c.relkind::text AS relkind, c.relpersistence = 'u' AS unlogged,
           COALESCE(c.reloptions, '{{}}') AS options, COALESCE(toast.reloptions, '{{}}') AS toast_options,
           CASE WHEN am.amname <> 'heap' THEN am.amname END AS access_method, ts.spcname AS tablespace,
           c.relrowsecurity AS row_security, c.relforcerowsecurity AS force_row_security,
           c.relreplident::text AS replica_identity, c.relispopulated AS populated,
           CASE WHEN c.relkind = 'm' THEN {extensions} ELSE '{{}}' END AS depends_on_extensions,
           CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END AS of_type,
           CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END AS partition_key,
           CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END AS bound,
           ARRAY(SELECT pg_catalog.json_build_object('oid', p.oid::int8, 'schema', pn.nspname, 'name', p.relname)
                 FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
                   JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
                 WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parents,
           fs.srvname AS server, {fdw_options} AS fdw_options,
           COALESCE(c.relkind <> 'm' AND (c.reltype IN {used_types}
             OR (SELECT rt.typarray FROM pg_catalog.pg_type rt WHERE rt.oid = c.reltype) IN {used_types}), false)
             AS row_type_is_used
         FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_catalog.pg_class toast ON toast.oid = c.reltoastrelid AND toast.relkind = 't'
           LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
           LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = c.reltablespace
           LEFT JOIN pg_catalog.pg_foreign_table ft ON ft.ftrelid = c.oid
           LEFT JOIN pg_catalog.pg_foreign_server fs ON fs.oid = ft.ftserver
         WHERE c.relkind IN ({relkinds}) AND {USER_NAMESPACE}
         ORDER BY c.oid",
        extensions = depends_on_extensions("pg_class", "c.oid"),
        fdw_options = fdw_options("ft.ftoptions"),
        used_types = "(SELECT d.refobjid FROM pg_catalog.pg_depend d
             WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.deptype = 'n')",
    )
}

/// Check constraints that stand in `CREATE TABLE`. A partition has even those
/// that come from its parent, since it is created before it is attached; so has
/// a table that inherits later.
pub(super) fn inline_checks() -> String {
    format!(
        "SELECT con.conrelid::int8 AS table_oid, con.conname AS name,
           pg_catalog.pg_get_constraintdef(con.oid) AS definition,
           con.conislocal OR c.relispartition AS is_own
         FROM pg_catalog.pg_constraint con
           JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE con.contype = 'c' AND c.relkind IN ('r', 'p', 'f') AND {USER_NAMESPACE}
           AND NOT {CHECK_IS_SEPARATE}
         ORDER BY con.conrelid, con.conname"
    )
}

/// Columns of relations, by a list of `relkind`s.
pub(super) fn columns(relkinds: &str, major: u32) -> String {
    let compression = match major {
        ..14 => "NULL::text",
        _ => "CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END",
    };
    let (not_null, not_null_join) = match major {
        ..18 => (
            "CASE WHEN a.attnotnull THEN pg_catalog.json_build_object(
               'no_inherit', false, 'is_local', true, 'not_valid', false) END".to_owned(),
            "",
        ),
        _ => (
            format!(
                "CASE WHEN nn.oid IS NOT NULL THEN pg_catalog.json_build_object(
               'name', CASE WHEN nn.conname <> c.relname || '_' || a.attname || '_not_null' OR EXISTS (
                 SELECT FROM pg_catalog.pg_constraint other WHERE other.conname = nn.conname
                   AND other.connamespace = nn.connamespace AND other.oid <> nn.oid) THEN nn.conname END,
               'no_inherit', nn.connoinherit, 'is_local', nn.conislocal, 'not_valid', NOT nn.convalidated,
               'validated_later', {}) END",
                is_validated_later("nn", major)
            ),
            "LEFT JOIN pg_catalog.pg_constraint nn
               ON nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.conkey = ARRAY[a.attnum]",
        ),
    };
    format!(
        "WITH RECURSIVE base AS (
           SELECT t.oid, t.oid AS base_oid, t.typtype, t.typbasetype FROM pg_catalog.pg_type t
           UNION ALL
           SELECT base.oid, t.oid, t.typtype, t.typbasetype
           FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd'
         )
         SELECT a.attrelid::int8 AS relation_oid, a.attname AS name,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
           pg_catalog.format_type(base.base_oid, NULL) AS base_type_name, base.typtype::text AS base_type_kind,
           CASE WHEN a.attcollation <> 0 AND a.attcollation <> t.typcollation
             THEN pg_catalog.json_build_object('schema', con.nspname, 'name', co.collname) END AS collation,
           {not_null} AS not_null,
           pg_catalog.pg_get_expr(ad.adbin, ad.adrelid) AS expression,
           COALESCE({DEFAULT_IS_SEPARATE}, false) AS separate,
           a.attgenerated::text AS generated, a.attidentity::text AS identity,
           CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage
             WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'x' THEN 'EXTENDED' WHEN 'm' THEN 'MAIN' END
             END AS storage,
           {compression} AS compression,
           CASE WHEN a.attstattarget >= 0 THEN a.attstattarget END AS statistics_target,
           COALESCE(a.attoptions, '{{}}') AS options, {fdw_options} AS fdw_options,
           a.attislocal AS is_local, a.attinhcount AS inherit_count, a.attacl::text[] AS acl
         FROM pg_catalog.pg_attribute a
           JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
           JOIN base ON base.oid = a.atttypid AND base.typtype <> 'd'
           LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
           LEFT JOIN pg_catalog.pg_namespace con ON con.oid = co.collnamespace
           LEFT JOIN pg_catalog.pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
           {not_null_join}
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ({relkinds}) AND {USER_NAMESPACE}
         ORDER BY a.attrelid, a.attnum",
        fdw_options = fdw_options("a.attfdwoptions"),
    )
}
