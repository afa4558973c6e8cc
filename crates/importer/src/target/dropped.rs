//! What `--clean` would meet: objects of the target's own that depend on what it drops, or that would go with it.
//!
//! A `DROP` without `CASCADE` fails where anything that stays depends on its object, and takes partitions along. So
//! what the plan drops is looked up on the target, and what its catalogs say of dependencies is followed as the
//! server follows it (`findDependentObjects` in PostgreSQL's dependency.c), without a lock on anything.

use std::collections::BTreeMap;

use dbhaul_catalog::{Class, EntryKind, ObjectId, TocEntry, in_one_line, quote_literal};
use dbhaul_postgres::{Error, Session};
use serde::Deserialize;

use super::advance::Advance;
use super::{Blocker, Predicted};
use crate::ImportPlan;
use crate::plan::roles::drops_public;

/// Looks at what depends on what the run is going to drop; `refused` is not made again, and therefore not dropped.
pub(super) async fn check(
    plan: &ImportPlan,
    session: &Session,
    refused: &Predicted,
) -> Result<Advance, Error> {
    let mut advance = Advance::default();
    if !plan.options.clean || plan.options.resume || plan.drops.is_empty() {
        return Ok(advance);
    }
    let drops = drops(plan, refused);
    advance.blockers.extend(with_slots(&drops, session).await?);
    let rows: Vec<Row> = session.query_json(&query(&drops)).await?;
    let found = |what: What| {
        let texts = rows.iter().filter(|row| row.what == what).map(|row| {
            let object = in_one_line(&row.object);
            let dropped = drops.get(row.step).map(|drop| in_one_line(&plan.describe(drop.entry)));
            (object, dropped.unwrap_or_default())
        });
        let texts: Vec<(String, String)> = texts.collect();
        let count = rows.iter().find(|row| row.what == what).map_or(0, |row| row.count);
        let more = count.saturating_sub(texts.len());
        (!texts.is_empty()).then_some((texts, more))
    };
    let blockers = [
        found(What::Dependent).map(|(objects, more)| Blocker::DependsOnDropped { objects, more }),
        found(What::Child).map(|(tables, more)| Blocker::ChildOfDropped { tables, more }),
        found(What::Other).map(|(objects, more)| Blocker::OtherKind { objects, more }),
        found(What::Unowned).map(|(objects, more)| Blocker::MayNotDrop { objects, more }),
    ];
    advance.blockers.extend(blockers.into_iter().flatten());
    advance.warnings.extend(found(What::Along).map(|(objects, more)| {
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let objects: Vec<String> = objects.into_iter().map(|(object, _)| object).collect();
        format!(
            "--clean drops with their tables what the run does not create again: {}{more}",
            objects.join(", ")
        )
    }));
    Ok(advance)
}

/// Subscriptions that have a slot at their publisher cannot be dropped in a transaction, which the drop is.
async fn with_slots(drops: &[Dropped<'_>], session: &Session) -> Result<Option<Blocker>, Error> {
    let dropped = drops.iter().filter(|drop| drop.class == Class::PG_SUBSCRIPTION);
    let names: Vec<String> = dropped.map(|drop| quote_literal(drop.name)).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let sql = format!(
        "SELECT s.subname::pg_catalog.text FROM pg_catalog.pg_subscription s \
         WHERE s.subslotname IS NOT NULL AND s.subname IN ({}) \
           AND s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
         ORDER BY 1",
        names.join(", ")
    );
    let names = session.query_strings(&sql).await?;
    Ok((!names.is_empty()).then_some(Blocker::SubscriptionSlot { names }))
}

#[derive(Debug, Deserialize)]
struct Row {
    what: What,
    /// As `pg_describe_object` names it.
    object: String,
    /// The place, among the drops, of the one that it is about.
    step: usize,
    /// How many of this sort there are.
    count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    /// It stays and depends on what is dropped.
    Dependent,
    /// A table that stays and is a partition or child of one that is dropped.
    Child,
    /// It has the name of what is dropped, and is of another kind.
    Other,
    /// The role may not drop it.
    Unowned,
    /// It goes with its table, and is not created again.
    Along,
}

/// An object that is dropped.
#[derive(Debug)]
struct Dropped<'a> {
    entry: u32,
    class: Class,
    schema: &'a str,
    name: &'a str,
    /// Letters by which the target's catalog calls what the statement takes; empty where nothing else could have
    /// the name.
    letters: &'static str,
    /// Whether it takes along whatever depends on it.
    cascades: bool,
    /// The place of the first statement after which it depends on nothing: what is made in two steps is unmade so.
    release: usize,
}

/// What the run drops, in its order. An entry that takes back a part of an object drops nothing.
fn drops<'a>(plan: &'a ImportPlan, refused: &Predicted) -> Vec<Dropped<'a>> {
    let mut drops: Vec<Dropped<'_>> = Vec::new();
    let mut released: BTreeMap<ObjectId, usize> = BTreeMap::new();
    for &id in &plan.drops {
        let Ok(entry) = plan.entry(id) else { continue };
        let (Some(drop), Some(object)) = (&entry.drop, entry.object) else { continue };
        if refused.refused(id).is_some() || drops_public(drop) {
            continue;
        }
        let next = drops.len();
        let release = *released.entry(object).or_insert(next);
        let is_a_part = matches!(object.class, Class::PG_CONSTRAINT | Class::PG_ATTRDEF);
        if drop.command.starts_with("DROP ") || is_a_part {
            drops.push(Dropped {
                entry: id,
                class: object.class,
                schema: entry.schema.as_deref().unwrap_or_default(),
                name: &entry.name,
                letters: letters(entry),
                cascades: drop.object.ends_with(" CASCADE"),
                release,
            });
        }
    }
    let makes_indexes = plan.options.sections.post_data;
    let is_index =
        |entry: &&TocEntry| makes_indexes && entry.kind == EntryKind::Index && entry.drop.is_none();
    let made = plan.toc.entries.iter().filter(is_index);
    let made = made.filter(|entry| refused.refused(entry.id).is_none()).map(|entry| Dropped {
        entry: entry.id,
        class: Class::PG_CLASS,
        schema: entry.schema.as_deref().unwrap_or_default(),
        name: &entry.name,
        letters: NOT_DROPPED,
        cascades: false,
        release: 0,
    });
    drops.extend(made);
    drops
}

/// In place of letters, for an index that goes with its table and is made again.
const NOT_DROPPED: &str = "!";

/// `relkind`, `prokind` or `typtype`; a row type that comes with a relation has the letter `-`, and so has a relation
/// that something else needs, such as the index of a constraint.
fn letters(entry: &TocEntry) -> &'static str {
    match entry.kind {
        EntryKind::Table => "rp",
        EntryKind::View => "v",
        EntryKind::MaterializedView => "m",
        EntryKind::Sequence => "S",
        EntryKind::ForeignTable => "f",
        EntryKind::Index => "iI",
        EntryKind::Function => "fw",
        EntryKind::Procedure => "p",
        EntryKind::Aggregate => "a",
        EntryKind::Domain => "d",
        EntryKind::Type | EntryKind::ShellType => "bcdemprs",
        _ => "",
    }
}

fn query(drops: &[Dropped<'_>]) -> String {
    let list = |text: &dyn Fn(&Dropped<'_>) -> String| drops.iter().map(text).collect::<Vec<_>>().join(", ");
    let wanted = format!(
        "SELECT w.place - 1 AS step, w.release, w.class, w.space, w.name, w.letters, w.cascades \
         FROM ROWS FROM (pg_catalog.unnest(ARRAY[{}]::pg_catalog.int8[]), pg_catalog.unnest(ARRAY[{}]::pg_catalog.oid[]), \
           pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]), pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]), \
           pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]), pg_catalog.unnest(ARRAY[{}]::pg_catalog.bool[])) \
           WITH ORDINALITY AS w(release, class, space, name, letters, cascades, place)",
        list(&|drop| drop.release.to_string()),
        list(&|drop| drop.class.0.to_string()),
        list(&|drop| quote_literal(drop.schema)),
        list(&|drop| quote_literal(drop.name)),
        list(&|drop| quote_literal(drop.letters)),
        list(&|drop| drop.cascades.to_string()),
    );
    let standing = STANDING;
    format!(
        "WITH RECURSIVE wanted AS MATERIALIZED ({wanted}), standing AS ({standing}), \
         found AS MATERIALIZED ( \
           SELECT w.step, w.release, w.cascades, s.class, s.oid, \
             CASE WHEN w.letters <> '{NOT_DROPPED}' THEN w.letters = '' OR pg_catalog.strpos(w.letters, s.letter) > 0 END \
               AS fits \
           FROM wanted w JOIN standing s ON s.class = w.class AND s.space = w.space AND s.name = w.name), \
         going(class, oid, sub, step, release, cascades) AS ( \
           SELECT class, oid, 0, step, release, cascades FROM found WHERE fits \
           UNION SELECT d.classid, d.objid, d.objsubid, g.step, g.release, g.cascades \
           FROM going g JOIN pg_catalog.pg_depend d ON d.refclassid = g.class AND d.refobjid = g.oid \
             AND (g.sub = 0 OR d.refobjsubid = g.sub) AND (d.deptype IN ('a', 'i', 'P', 'S', 'e', 'x') OR g.cascades AND d.classid = 2617 AND d.objid IN ( \
               SELECT o.oid FROM pg_catalog.pg_operator o WHERE o.oprcode = 0))), \
         gone AS MATERIALIZED (SELECT class, oid, sub, pg_catalog.min(step) AS step, \
             pg_catalog.min(release) AS release, pg_catalog.bool_or(cascades) AS cascades \
           FROM going GROUP BY 1, 2, 3), \
         {FINDINGS}"
    )
}

/// Objects of users by the names that a table of contents gives them.
const STANDING: &str = "
    WITH n AS MATERIALIZED (SELECT oid, nspname::text AS space FROM pg_catalog.pg_namespace),
    c AS MATERIALIZED (
      SELECT c.oid, n.space, c.relname::text AS name,
        CASE WHEN c.relkind IN ('i', 'I', 'S') AND EXISTS (
            SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND d.objsubid = 0
              AND d.deptype = 'i')
          THEN '-' ELSE c.relkind::text END AS letter
      FROM pg_catalog.pg_class c JOIN n ON n.oid = c.relnamespace WHERE c.oid >= 16384 AND c.relkind <> 't')
    SELECT 1259::pg_catalog.oid AS class, c.oid, c.space, c.name, c.letter FROM c
    UNION ALL SELECT 1247, t.oid, n.space, t.typname::text,
        CASE WHEN t.typtype <> 'c' OR r.letter = 'c' THEN t.typtype::text ELSE '-' END
      FROM pg_catalog.pg_type t JOIN n ON n.oid = t.typnamespace LEFT JOIN c r ON r.oid = t.typrelid
      WHERE t.oid >= 16384
    UNION ALL SELECT 1255, p.oid, n.space, p.proname || '(' || pg_catalog.array_to_string(ARRAY(
          SELECT pg_catalog.format_type(a.type, NULL)
          FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a(type, place) ORDER BY a.place), ', ') || ')',
        p.prokind::text
      FROM pg_catalog.pg_proc p JOIN n ON n.oid = p.pronamespace WHERE p.oid >= 16384
    UNION ALL SELECT 2606, k.oid, c.space, c.name || ' ' || k.conname, ''
      FROM pg_catalog.pg_constraint k JOIN c ON c.oid = k.conrelid
    UNION ALL SELECT 2604, k.oid, c.space, c.name || ' ' || a.attname, ''
      FROM pg_catalog.pg_attrdef k JOIN c ON c.oid = k.adrelid
      JOIN pg_catalog.pg_attribute a ON a.attrelid = k.adrelid AND a.attnum = k.adnum
    UNION ALL SELECT 2620, k.oid, c.space, c.name || ' ' || k.tgname, ''
      FROM pg_catalog.pg_trigger k JOIN c ON c.oid = k.tgrelid
    UNION ALL SELECT 3256, k.oid, c.space, c.name || ' ' || k.polname, ''
      FROM pg_catalog.pg_policy k JOIN c ON c.oid = k.polrelid
    UNION ALL SELECT 2618, k.oid, c.space, c.name || ' ' || k.rulename, ''
      FROM pg_catalog.pg_rewrite k JOIN c ON c.oid = k.ev_class
    UNION ALL SELECT 2617, o.oid, n.space, o.oprname || '(' ||
          CASE WHEN o.oprleft <> 0 THEN pg_catalog.format_type(o.oprleft, NULL) ELSE 'NONE' END || ', ' ||
          CASE WHEN o.oprright <> 0 THEN pg_catalog.format_type(o.oprright, NULL) ELSE 'NONE' END || ')', ''
      FROM pg_catalog.pg_operator o JOIN n ON n.oid = o.oprnamespace WHERE o.oid >= 16384
    UNION ALL SELECT 2616, o.oid, n.space, o.opcname || ' USING ' || pg_catalog.quote_ident(a.amname), ''
      FROM pg_catalog.pg_opclass o JOIN n ON n.oid = o.opcnamespace JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod
    UNION ALL SELECT 2753, o.oid, n.space, o.opfname || ' USING ' || pg_catalog.quote_ident(a.amname), ''
      FROM pg_catalog.pg_opfamily o JOIN n ON n.oid = o.opfnamespace JOIN pg_catalog.pg_am a ON a.oid = o.opfmethod
    UNION ALL SELECT 3456, o.oid, n.space, o.collname::text, ''
      FROM pg_catalog.pg_collation o JOIN n ON n.oid = o.collnamespace WHERE o.oid >= 16384
    UNION ALL SELECT 2607, o.oid, n.space, o.conname::text, ''
      FROM pg_catalog.pg_conversion o JOIN n ON n.oid = o.connamespace WHERE o.oid >= 16384
    UNION ALL SELECT 3381, o.oid, n.space, o.stxname::text, ''
      FROM pg_catalog.pg_statistic_ext o JOIN n ON n.oid = o.stxnamespace
    UNION ALL SELECT 3602, o.oid, n.space, o.cfgname::text, ''
      FROM pg_catalog.pg_ts_config o JOIN n ON n.oid = o.cfgnamespace
    UNION ALL SELECT 3600, o.oid, n.space, o.dictname::text, ''
      FROM pg_catalog.pg_ts_dict o JOIN n ON n.oid = o.dictnamespace
    UNION ALL SELECT 3601, o.oid, n.space, o.prsname::text, ''
      FROM pg_catalog.pg_ts_parser o JOIN n ON n.oid = o.prsnamespace
    UNION ALL SELECT 3764, o.oid, n.space, o.tmplname::text, ''
      FROM pg_catalog.pg_ts_template o JOIN n ON n.oid = o.tmplnamespace
    UNION ALL SELECT 2605, o.oid, '', 'CAST (' || pg_catalog.format_type(o.castsource, NULL) || ' AS '
          || pg_catalog.format_type(o.casttarget, NULL) || ')', ''
      FROM pg_catalog.pg_cast o WHERE o.oid >= 16384
    UNION ALL SELECT 3576, o.oid, '', 'TRANSFORM FOR ' || pg_catalog.format_type(o.trftype, NULL)
          || ' LANGUAGE ' || pg_catalog.quote_ident(l.lanname), ''
      FROM pg_catalog.pg_transform o JOIN pg_catalog.pg_language l ON l.oid = o.trflang
    UNION ALL SELECT 1418, o.umid, '', 'USER MAPPING '
          || CASE WHEN o.umuser = 0 THEN 'public' ELSE o.usename::text END || ' SERVER ' || o.srvname, ''
      FROM pg_catalog.pg_user_mappings o
    UNION ALL SELECT 2615, oid, '', space, '' FROM n
    UNION ALL SELECT 3079, oid, '', extname::text, '' FROM pg_catalog.pg_extension
    UNION ALL SELECT 2612, oid, '', lanname::text, '' FROM pg_catalog.pg_language
    UNION ALL SELECT 2328, oid, '', fdwname::text, '' FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL SELECT 1417, oid, '', srvname::text, '' FROM pg_catalog.pg_foreign_server
    UNION ALL SELECT 2601, oid, '', amname::text, '' FROM pg_catalog.pg_am
    UNION ALL SELECT 6104, oid, '', pubname::text, '' FROM pg_catalog.pg_publication
    UNION ALL SELECT 3466, oid, '', evtname::text, '' FROM pg_catalog.pg_event_trigger";

/// A member of an extension stands for the extension, and the rule of a view for the view. Whoever owns a schema may
/// drop what is in it; who may drop an extension, providers decide. What goes by itself, as a
/// part of its table, is made by a statement of its own unless it belongs to a constraint or to a parent's.
/// Of each sort so many are named.
const FINDINGS: &str = "
    kept AS (
      SELECT DISTINCT ON (d.classid, d.objid, d.objsubid) d.classid, d.objid, d.objsubid, g.step
      FROM gone g JOIN pg_catalog.pg_depend d ON d.refclassid = g.class AND d.refobjid = g.oid
        AND (g.sub = 0 OR d.refobjsubid = g.sub) AND d.deptype = 'n'
      WHERE NOT EXISTS (SELECT FROM gone h WHERE h.class = d.classid AND h.oid = d.objid
          AND h.sub IN (0, d.objsubid) AND (h.release <= g.step OR g.cascades))
        AND NOT (d.classid = 1259 AND d.refclassid = 1259 AND EXISTS (
          SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = d.objid AND i.inhparent = d.refobjid))
      ORDER BY d.classid, d.objid, d.objsubid, g.step),
    findings AS (
      SELECT 'dependent' AS what, coalesce(o.refclassid, k.classid) AS class, coalesce(o.refobjid, k.objid) AS oid,
        CASE WHEN o.refobjid IS NULL THEN k.objsubid ELSE 0 END AS sub, k.step
      FROM kept k LEFT JOIN LATERAL (
        SELECT o.refclassid, o.refobjid FROM pg_catalog.pg_depend o
        WHERE o.classid = k.classid AND o.objid = k.objid
          AND (o.deptype = 'e' OR o.deptype = 'i' AND k.classid = 2618) LIMIT 1) o ON true
      UNION ALL
      SELECT 'child', 1259, i.inhrelid, 0, g.step
      FROM gone g JOIN pg_catalog.pg_inherits i ON g.class = 1259 AND g.sub = 0 AND i.inhparent = g.oid
        JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
      WHERE NOT EXISTS (SELECT FROM found f WHERE f.class = 1259 AND f.oid = i.inhrelid AND f.fits)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
          WHERE d.classid = 1259 AND d.objid = i.inhrelid AND d.deptype = 'e')
      UNION ALL
      SELECT 'other', f.class, f.oid, 0, f.step FROM found f WHERE NOT f.fits
      UNION ALL
      SELECT 'unowned', f.class, f.oid, 0, f.step
      FROM found f LEFT JOIN pg_catalog.pg_class c ON f.class = 1259 AND c.oid = f.oid
        LEFT JOIN pg_catalog.pg_type t ON f.class = 1247 AND t.oid = f.oid
        LEFT JOIN pg_catalog.pg_proc p ON f.class = 1255 AND p.oid = f.oid
        LEFT JOIN pg_catalog.pg_namespace n
          ON n.oid = coalesce(c.relnamespace, t.typnamespace, p.pronamespace, CASE WHEN f.class = 2615 THEN f.oid END)
      WHERE f.fits AND f.class <> 3079 AND NOT coalesce(pg_catalog.pg_has_role(n.nspowner, 'USAGE'), false)
        AND NOT pg_catalog.pg_has_role(coalesce(c.relowner, t.typowner, p.proowner, n.nspowner), 'USAGE')
      UNION ALL
      SELECT 'along', g.class, g.oid, 0, g.step
      FROM gone g LEFT JOIN pg_catalog.pg_class c ON g.class = 1259 AND c.oid = g.oid
      WHERE g.sub = 0
        AND (g.class IN (2618, 2620, 3256, 3381, 6106, 6237) OR c.relkind IN ('i', 'I', 'S') AND c.relnamespace <> 99)
        AND NOT EXISTS (SELECT FROM found f WHERE f.class = g.class AND f.oid = g.oid)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
          WHERE d.classid = g.class AND d.objid = g.oid AND (d.deptype IN ('i', 'P', 'e') OR g.class IN (6106, 6237)
            AND EXISTS (SELECT FROM found f WHERE f.class = 6104 AND f.class = d.refclassid AND f.oid = d.refobjid)))),
    told AS (
      SELECT what, pg_catalog.pg_describe_object(class, oid, sub) AS object, pg_catalog.min(step) AS step
      FROM findings GROUP BY what, class, oid, sub)
    SELECT q.what, q.object, q.step, q.count FROM (
      SELECT t.*, pg_catalog.count(*) OVER (PARTITION BY t.what) AS count,
        pg_catalog.row_number() OVER (PARTITION BY t.what ORDER BY t.step, t.object) AS place
      FROM told t WHERE t.object IS NOT NULL) q
    WHERE q.place <= 20 ORDER BY q.what, q.place";
