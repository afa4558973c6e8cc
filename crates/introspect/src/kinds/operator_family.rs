//! Reads operator families with their loose members, and what users have added to the server's own and to extensions'.

use dbhaul_catalog::kinds::{Body, FunctionMember, OperatorFamily, OperatorMember};
use dbhaul_catalog::{Class, SharedText};
use serde::Deserialize;

use crate::Error;
use crate::header::{FIRST_USER_OID, Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    access_method: String,
    operators: Option<Vec<OperatorMember>>,
    functions: Option<Vec<FunctionMember>>,
    /// Of members that were added to an extension's family: the catalog of the first, whose address the object has.
    member_class: Option<u32>,
    added_to: Option<SharedText>,
}

/// Two scalar subqueries, `operators` and `functions`: the members that depend
/// on the operator class or family `owner` of the catalog `class`. A member of
/// a class depends on the class, a loose one on the family.
pub(super) fn members(class: &str, owner: &str) -> String {
    let of_owner = |catalog: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_depend d
                     WHERE d.objid = m.oid AND d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass
                       AND d.refclassid = 'pg_catalog.{class}'::pg_catalog.regclass
                       AND d.refobjid = {owner}.oid)"
        )
    };
    lists(&of_owner("pg_amop"), &of_owner("pg_amproc"))
}

/// Whose family it is that users have added members to. Such members are an object of their own.
#[derive(Clone, Copy)]
enum Family {
    /// The server's: nothing depends on what `initdb` made, so these are the members that no class has.
    Server,
    /// An extension's, which its script or that of an update may have added loose members to itself.
    Extension,
}

/// A catalog of members, that of what they are, and their columns with the family, with this and the types.
struct Members {
    catalog: &'static str,
    family: &'static str,
    of: &'static str,
    column: &'static str,
    types: [&'static str; 2],
}

const OPERATORS: Members = Members {
    catalog: "pg_amop",
    family: "amopfamily",
    of: "pg_operator",
    column: "amopopr",
    types: ["amoplefttype", "amoprighttype"],
};
const FUNCTIONS: Members = Members {
    catalog: "pg_amproc",
    family: "amprocfamily",
    of: "pg_proc",
    column: "amproc",
    types: ["amproclefttype", "amprocrighttype"],
};

impl Members {
    /// Whether a user has added the member `m` to such a family: it is of no class, and its operator or function or
    /// one of its types is the user's. One that is made of the server's alone is a user's in the server's family.
    fn added(&self, family: Family) -> String {
        let Members { catalog, of, column, types: [left, right], .. } = self;
        let is_users = format!(
            "{} OR {} OR {}",
            is_users(of, column),
            is_users_type(left),
            is_users_type(right)
        );
        let is_users = match family {
            Family::Extension => is_users,
            Family::Server => {
                let is_the_servers = [column, left, right]
                    .map(|column| format!("m.{column}::pg_catalog.oid < {FIRST_USER_OID}"))
                    .join(" AND ");
                format!("{is_users} OR {is_the_servers}")
            }
        };
        format!(
            "m.oid >= {FIRST_USER_OID} AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_depend d
                 WHERE d.objid = m.oid AND d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass
                   AND d.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass)
             AND ({is_users})"
        )
    }

    /// As a query: the class and OID of each member that a user has added to an extension's family, and that family.
    fn added_to_extensions(&self) -> String {
        let Members { catalog, family, .. } = self;
        format!(
            "SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass::pg_catalog.oid AS class, m.oid AS member,
                    m.{family} AS family
             FROM pg_catalog.{catalog} m
             WHERE EXISTS (SELECT FROM pg_catalog.pg_depend e
                           WHERE e.classid = 'pg_catalog.pg_opfamily'::pg_catalog.regclass
                             AND e.objid = m.{family} AND e.deptype = 'e')
               AND {}",
            self.added(Family::Extension)
        )
    }
}

/// As a query: each member that a user has added to an extension's family, with the first of its family, whose
/// address is that of the object.
pub(crate) fn added_to_extensions() -> String {
    format!(
        "SELECT a.class, a.member, a.family,
                pg_catalog.first_value(a.class) OVER w AS first_class,
                pg_catalog.first_value(a.member) OVER w AS first_member
         FROM ({} UNION ALL {}) a WINDOW w AS (PARTITION BY a.family ORDER BY a.class, a.member)",
        OPERATORS.added_to_extensions(),
        FUNCTIONS.added_to_extensions()
    )
}

/// Whether what a column of `m` names in this catalog was made by a user, not by an extension.
fn is_users(of: &str, column: &str) -> String {
    format!(
        "m.{column}::pg_catalog.oid >= {FIRST_USER_OID} AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_depend d
             WHERE d.deptype = 'e' AND d.classid = 'pg_catalog.{of}'::pg_catalog.regclass AND d.objid = m.{column})"
    )
}

/// As [`is_users`] for a type; arrays and row types go with what they are of.
fn is_users_type(column: &str) -> String {
    format!(
        "m.{column} >= {FIRST_USER_OID} AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_type t
             JOIN pg_catalog.pg_depend d ON d.deptype = 'e'
              AND (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid IN (t.oid, t.typelem)
                   OR d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.typrelid)
             WHERE t.oid = m.{column})"
    )
}

/// As [`members`]: what users have added to such a family `f`.
fn added_members(family: Family) -> String {
    let of_family = |members: &Members| format!("m.{} = f.oid AND {}", members.family, members.added(family));
    lists(&of_family(&OPERATORS), &of_family(&FUNCTIONS))
}

/// The operators and functions for which these conditions on `m` hold.
fn lists(operators: &str, functions: &str) -> String {
    format!(
        "(SELECT pg_catalog.json_agg(pg_catalog.json_build_object('strategy', m.amopstrategy,
                     'operator', m.amopopr::pg_catalog.regoperator::text,
                     'sort_family', pg_catalog.quote_ident(sn.nspname) || '.'
                         || pg_catalog.quote_ident(sf.opfname))
                     ORDER BY m.amopstrategy, m.oid)
          FROM pg_catalog.pg_amop m
          LEFT JOIN pg_catalog.pg_opfamily sf ON sf.oid = m.amopsortfamily
          LEFT JOIN pg_catalog.pg_namespace sn ON sn.oid = sf.opfnamespace
          WHERE {operators})
             AS operators,
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('number', m.amprocnum,
                     'left_type', pg_catalog.format_type(m.amproclefttype, NULL),
                     'right_type', pg_catalog.format_type(m.amprocrighttype, NULL),
                     'function', m.amproc::pg_catalog.regprocedure::text)
                     ORDER BY m.amprocnum, m.oid)
          FROM pg_catalog.pg_amproc m
          WHERE {functions})
             AS functions"
    )
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT f.oid::int8 AS oid, n.nspname AS schema, f.opfname AS name,
                pg_catalog.pg_get_userbyid(f.opfowner) AS owner, a.amname AS access_method, {members},
                NULL::int8 AS member_class, NULL::text AS added_to
         FROM pg_catalog.pg_opfamily f
         JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
         JOIN pg_catalog.pg_am a ON a.oid = f.opfmethod
         WHERE {USER_SCHEMA}
         UNION ALL
         SELECT f.oid::int8, n.nspname, f.opfname, NULL, a.amname, {added_to_server}, NULL, NULL
         FROM pg_catalog.pg_opfamily f
         JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
         JOIN pg_catalog.pg_am a ON a.oid = f.opfmethod
         WHERE f.oid < {FIRST_USER_OID}
           AND (EXISTS (SELECT FROM pg_catalog.pg_amop m WHERE m.amopfamily = f.oid AND {operators})
                OR EXISTS (SELECT FROM pg_catalog.pg_amproc m WHERE m.amprocfamily = f.oid AND {functions}))
         UNION ALL
         SELECT added.first_member::int8, n.nspname, f.opfname, NULL, a.amname, {added_to_extension},
                added.first_class::int8, x.extname
         FROM (SELECT DISTINCT b.family, b.first_class, b.first_member FROM ({added}) b) added
         JOIN pg_catalog.pg_opfamily f ON f.oid = added.family
         JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
         JOIN pg_catalog.pg_am a ON a.oid = f.opfmethod
         JOIN pg_catalog.pg_depend e ON e.classid = 'pg_catalog.pg_opfamily'::pg_catalog.regclass
          AND e.objid = f.oid AND e.deptype = 'e'
         JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid",
        members = members("pg_opfamily", "f"),
        added_to_server = added_members(Family::Server),
        added_to_extension = added_members(Family::Extension),
        operators = OPERATORS.added(Family::Server),
        functions = FUNCTIONS.added(Family::Server),
        added = added_to_extensions(),
    );
    for row in reader.query::<Row>("operator families", &sql).await? {
        let family = OperatorFamily {
            access_method: row.access_method,
            operators: row.operators.unwrap_or_default(),
            functions: row.functions.unwrap_or_default(),
            added_to: row.added_to,
        };
        let class = row.member_class.map_or(Class::PG_OPFAMILY, Class);
        reader.push(row.header.object("operator families", class, Body::from(family))?);
    }
    Ok(())
}
