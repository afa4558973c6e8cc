//! Comments and security labels, for all kinds at once.

use std::collections::HashMap;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Class, Object, ObjectId, PartName, PartNotes, QualifiedName};
use futures::try_join;
use serde::Deserialize;

use crate::Error;
use crate::depends::Dependencies;
use crate::header::FIRST_USER_OID;
use crate::reader::Reader;

#[derive(Deserialize)]
struct CommentRow {
    class: u32,
    oid: u32,
    text: String,
    column: Option<String>,
    constraint: Option<String>,
    rule: Option<String>,
    address: Option<String>,
    #[serde(default)]
    tables: Vec<QualifiedName>,
}

#[derive(Deserialize)]
struct LabelRow {
    class: u32,
    oid: u32,
    column: Option<String>,
    provider: String,
    label: String,
}

/// Comments and labels that were read.
pub(crate) struct Annotations {
    comments: Vec<CommentRow>,
    labels: Vec<LabelRow>,
}

pub(crate) async fn read(reader: &Reader<'_>) -> Result<Annotations, Error> {
    let comment_query = comment_query();
    let comments = reader.query("comments", &comment_query);
    let (comments, labels) = try_join!(comments, reader.query("security labels", LABELS))?;
    Ok(Annotations { comments, labels })
}

impl Annotations {
    /// Hangs them on their objects. What remains is a note on a part that no body has a place for.
    pub(crate) fn hang_on(self, objects: &mut [Object], dependencies: &Dependencies) -> Vec<PartNotes> {
        let places: HashMap<ObjectId, usize> =
            objects.iter().enumerate().map(|(place, object)| (object.id, place)).collect();
        let mut notes = Vec::new();
        for row in self.comments {
            let id = object_id(row.class, row.oid);
            match places.get(&id) {
                Some(&place) => set_comment(&mut objects[place], row),
                None => notes.extend(comment_on_part(objects, &places, dependencies, id, row)),
            }
        }
        for row in self.labels {
            let id = object_id(row.class, row.oid);
            if let Some(&place) = dependencies.lift(id).and_then(|whole| places.get(&whole)) {
                set_label(&mut objects[place], row);
            }
        }
        notes.sort();
        notes
    }
}

/// Comments that `initdb` writes are left out, except on what a database may change.
/// The address is of what may be no object of the model: a partition's copy of a
/// foreign key or trigger, a row type, an array, a multirange. A copy of a key is there for both of its tables.
fn comment_query() -> String {
    format!(
        "SELECT d.classoid::int8 AS class, d.objoid::int8 AS oid, d.description AS text,
                a.attname AS column, k.conname AS constraint, r.rulename AS rule,
                CASE WHEN k.conrelid <> 0 THEN 'CONSTRAINT ' || pg_catalog.quote_ident(k.conname)
                         || ' ON ' || k.conrelid::pg_catalog.regclass::text
                     WHEN t.oid IS NOT NULL THEN 'TRIGGER ' || pg_catalog.quote_ident(t.tgname)
                         || ' ON ' || t.tgrelid::pg_catalog.regclass::text
                     WHEN d.classoid = 1247 THEN 'TYPE ' || pg_catalog.format_type(d.objoid, NULL) END AS address,
                COALESCE((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname)
                                                     ORDER BY n.nspname, c.relname)
                          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                          WHERE c.oid IN (k.conrelid, k.confrelid, t.tgrelid, t.tgconstrrelid)),
                         '[]'::pg_catalog.json) AS tables
         FROM pg_catalog.pg_description d
         LEFT JOIN pg_catalog.pg_attribute a ON d.classoid = 1259 AND d.objsubid <> 0
              AND a.attrelid = d.objoid AND a.attnum = d.objsubid
         LEFT JOIN pg_catalog.pg_constraint k ON d.classoid = 2606 AND k.oid = d.objoid
         LEFT JOIN pg_catalog.pg_rewrite r ON d.classoid = 2618 AND r.oid = d.objoid
         LEFT JOIN pg_catalog.pg_trigger t ON d.classoid = 2620 AND t.oid = d.objoid
         WHERE d.objoid >= {FIRST_USER_OID} OR d.classoid IN (2615, 2613)"
    )
}

const LABELS: &str = "
    SELECT l.classoid::int8 AS class, l.objoid::int8 AS oid, a.attname AS column, l.provider, l.label
    FROM pg_catalog.pg_seclabel l
    LEFT JOIN pg_catalog.pg_attribute a ON l.classoid = 1259 AND l.objsubid <> 0
         AND a.attrelid = l.objoid AND a.attnum = l.objsubid
    ORDER BY 1, 2, 3, 4";

/// Comments and labels of large objects name the class of their contents.
fn object_id(class: u32, oid: u32) -> ObjectId {
    let class = Class(class);
    ObjectId::new(if class == Class::PG_LARGEOBJECT { Class::PG_LARGEOBJECT_METADATA } else { class }, oid)
}

fn set_comment(object: &mut Object, row: CommentRow) {
    match row.column {
        None => object.comment = Some(row.text),
        Some(column) => {
            object.body.set_column_comment(&column, row.text);
        }
    }
}

fn set_label(object: &mut Object, row: LabelRow) {
    match (row.column, &mut object.body) {
        (None, _) => object.security_labels.push((row.provider, row.label)),
        (Some(column), Body::CompositeType(composite)) => {
            let mut attributes = composite.attributes.iter_mut();
            if let Some(attribute) = attributes.find(|attribute| attribute.name == column) {
                attribute.security_labels.push((row.provider, row.label));
            }
        }
        (Some(column), _) => {
            object.body.add_column_security_label(&column, row.provider, row.label);
        }
    }
}

/// A comment on something that is no object: on an attribute of a composite
/// type, a domain's constraint, a view's rule, a constraint that comes with its table.
fn comment_on_part(
    objects: &mut [Object],
    places: &HashMap<ObjectId, usize>,
    dependencies: &Dependencies,
    id: ObjectId,
    row: CommentRow,
) -> Option<PartNotes> {
    let whole = dependencies.lift(id)?;
    let object = &mut objects[*places.get(&whole)?];
    let part = match (&mut object.body, row.column, row.constraint, row.rule) {
        (Body::CompositeType(composite), Some(column), _, _) => {
            let mut attributes = composite.attributes.iter_mut();
            attributes.find(|attribute| attribute.name == column)?.comment = Some(row.text);
            return None;
        }
        (Body::Domain(domain), _, Some(name), _) => {
            // Only the not-null constraint is not among them, and has been read with its comment.
            if let Some(check) = domain.constraints.iter_mut().find(|check| check.name == name) {
                check.comment = Some(row.text);
            }
            return None;
        }
        (Body::Table(_), _, Some(name), _) => PartName::TableConstraint(name),
        (_, _, _, Some(rule)) => PartName::Rule(rule),
        _ => PartName::Address(row.address?),
    };
    let tables = row.tables;
    Some(PartNotes { object: whole, part, comment: Some(row.text), security_labels: Vec::new(), tables })
}
