//! Entries for comments, security labels and privileges.

use std::collections::HashMap;

use crate::acl::grant::{GrantObject, grant_statements};
use crate::acl::privilege::{Grantable, default_acl, public_schema_acl};
use crate::acl::system::system_grants;
use crate::catalog::PartName;
use crate::kinds::Body;
use crate::render::Draft;
use crate::toc::build::Builder;
use crate::toc::repair::part_of_relation;
use crate::{
    Acl, EntryKind, InitialAcl, Object, ObjectId, Section, ServerVersion, SystemPrivileges, quote_identifier,
    quote_literal,
};

/// The place of the privileges of schemas, before all others: who grants on what is in a schema must be
/// allowed into it.
const SCHEMA_ACL_PRIORITY: u8 = EntryKind::Acl.priority() - 1;

const COMMENT_STEP: u32 = 1_000;
const LABEL_STEP: u32 = 2_000;

/// What `initdb` writes on schema `public`; carried only where it differs.
const PUBLIC_COMMENT: &str = "standard public schema";

impl Builder<'_> {
    /// Adds comments and security labels.
    pub(super) fn add_annotations(&mut self) {
        for place in 0..self.plan.catalog.objects.len() {
            let object = self.plan.object(place);
            let Some(main) = self.plan.makers[place].and_then(|maker| self.main[maker]) else { continue };
            if object.extension.is_some() {
                self.add_labels(object, main);
                continue;
            }
            self.add_comments(place, object, main);
            self.add_labels(object, main);
        }
        self.add_notes();
    }

    fn add_comments(&mut self, place: usize, object: &Object, main: usize) {
        let standard = object.schema.is_none()
            && object.name == "public"
            && object.comment.as_deref() == Some(PUBLIC_COMMENT);
        if let (Some(comment), Some(address), false) =
            (&object.comment, self.address(place, object), standard)
        {
            self.add_comment(object, main, &address, comment);
        }
        // The extension's script gives it one.
        if let (Body::Extension(_), None, Some(address)) =
            (&object.body, &object.comment, self.address(place, object))
        {
            self.add_comment_statement(object, main, &address, "NULL");
        }
        for column in object.body.column_annotations() {
            if let Some(comment) = column.comment {
                let address = format!("COLUMN {}.{}", object.sql_name(), quote_identifier(column.column));
                self.add_comment(object, main, &address, comment);
            }
        }
    }

    fn add_comment(&mut self, object: &Object, main: usize, address: &str, comment: &str) {
        self.add_comment_statement(object, main, address, &quote_literal(comment));
    }

    /// `comment` is a literal or `NULL`.
    fn add_comment_statement(&mut self, object: &Object, main: usize, address: &str, comment: &str) {
        let sql = format!("COMMENT ON {address} IS {comment}");
        let node = self.push_behind(
            main,
            object,
            Draft::new(Section::PreData, EntryKind::Comment, sql),
            COMMENT_STEP,
        );
        self.name_after(node, main, address);
    }

    fn add_labels(&mut self, object: &Object, main: usize) {
        let address = self.plan.index.place(object.id).and_then(|place| self.address(place, object));
        let own = address.map(|address| (address, object.security_labels.as_slice()));
        let columns = object.body.column_annotations().into_iter().map(|column| {
            (
                format!("COLUMN {}.{}", object.sql_name(), quote_identifier(column.column)),
                column.security_labels,
            )
        });
        for (address, labels) in own.into_iter().chain(columns) {
            for (provider, label) in labels {
                let sql = format!(
                    "SECURITY LABEL FOR {} ON {address} IS {}",
                    quote_identifier(provider),
                    quote_literal(label)
                );
                let draft = Draft::new(Section::PreData, EntryKind::SecurityLabel, sql);
                let node = self.push_behind(main, object, draft, LABEL_STEP);
                self.name_after(node, main, &address);
            }
        }
    }

    fn add_notes(&mut self) {
        let catalog = self.plan.catalog;
        for note in &catalog.notes {
            let Some(object) = self.plan.index.object(catalog, note.object) else { continue };
            let Some(main) = self.main_of(note.object) else { continue };
            let address = match &note.part {
                PartName::TableConstraint(name) => format!("CONSTRAINT {}", part_of_relation(name, object)),
                PartName::Rule(name) => format!("RULE {}", part_of_relation(name, object)),
                PartName::Address(address) => address.clone(),
            };
            if let Some(comment) = note.comment.as_ref().filter(|_| object.extension.is_none()) {
                self.add_comment(object, main, &address, comment);
            }
        }
    }

    /// Names an entry as `pg_restore -l` does, by the address it is about, in
    /// the section of the object itself.
    fn name_after(&mut self, node: usize, main: usize, address: &str) {
        let section = self.entries[main].section;
        let entry = &mut self.entries[node];
        entry.section = section;
        address.clone_into(&mut entry.name);
    }

    /// How statements address an object.
    fn address(&self, place: usize, object: &Object) -> Option<String> {
        let drafts = &self.plan.drafts[place];
        match drafts.first() {
            Some(draft) => draft.address.clone(),
            None if object.extension.is_some() => {
                object.body.render(object, &self.target).first().and_then(|draft| draft.address.clone())
            }
            None => object.body.inline_address(object),
        }
    }

    /// Adds `GRANT` and `REVOKE`.
    pub(super) fn add_privileges(&mut self) {
        let catalog = self.plan.catalog;
        let mut initial: HashMap<ObjectId, Vec<&InitialAcl>> = HashMap::new();
        for item in &catalog.initial_acls {
            initial.entry(item.object).or_default().push(item);
        }
        for place in 0..self.plan.catalog.objects.len() {
            let object = self.plan.object(place);
            let initial = initial.get(&object.id).map(Vec::as_slice).unwrap_or_default();
            self.add_object_privileges(place, object, initial);
        }
        for system in &catalog.system_privileges {
            self.add_system_privileges(system);
        }
    }

    fn add_object_privileges(&mut self, place: usize, object: &Object, initial: &[&InitialAcl]) {
        let Some(main) = self.plan.makers[place].and_then(|maker| self.main[maker]) else { return };
        let (Some(owner), Some(address)) = (&object.owner, self.address(place, object)) else { return };
        let Some((kind, name)) = Grantable::of_address(&address) else { return };
        // GRANT knows aggregates as functions, by the plain list of their argument types.
        let signature = match &object.body {
            Body::Aggregate(body) => format!("{}({})", object.sql_name(), body.argument_types.join(", ")),
            _ => name.to_owned(),
        };
        let name = signature.as_str();
        let source = self.plan.catalog.server_version;
        let default = default_acl(kind, owner, source);
        let whole = initial.iter().find(|item| item.column.is_none());
        let base = match &object.body {
            Body::Schema(_) if object.name == "public" => self.public_base(owner, object.acl.as_ref()),
            _ => whole.map_or_else(|| default.clone(), |item| item.acl.clone()),
        };
        let acl = object.acl.as_ref().unwrap_or(&default);
        let on = GrantObject { kind, name, column: None, owner, target: self.target.version };
        let table = self.add_acl(object, main, &address, grant_statements(&on, acl, &base));
        for column in object.body.column_annotations() {
            let base = initial.iter().find(|item| item.column.as_deref() == Some(column.column));
            let nothing = Acl::new();
            let (acl, base) = (column.acl.unwrap_or(&nothing), base.map_or(&nothing, |item| &item.acl));
            let on = GrantObject { kind: Grantable::Column, column: Some(column.column), ..on };
            let address = format!("COLUMN {name}.{}", quote_identifier(column.column));
            if let Some(node) = self.add_acl(object, main, &address, grant_statements(&on, acl, base)) {
                self.nodes[node].needs.extend(table);
            }
        }
        if let Some(node) = table {
            self.acl.insert(place, node);
        }
    }

    /// What schema `public` has before the privileges are set. Where the target is
    /// not known it is whatever makes the statements say all: before 15 everybody
    /// may create in it, later not.
    fn public_base(&self, owner: &str, acl: Option<&Acl>) -> Acl {
        let is_same_for_all = self.options.up_to_major.is_none_or(|newest| newest < 15);
        if is_same_for_all || self.plan.catalog.server_version.major() >= 15 {
            return public_schema_acl(owner, self.target.version);
        }
        let closed = public_schema_acl(owner, ServerVersion::of_major(15));
        let open = public_schema_acl(owner, ServerVersion::of_major(14));
        let everybody = |acl: &Acl| acl.iter().find(|item| item.grantee.is_none()).cloned();
        if acl.and_then(everybody) == everybody(&open) { closed } else { open }
    }

    fn add_acl(
        &mut self,
        object: &Object,
        main: usize,
        address: &str,
        statements: Vec<String>,
    ) -> Option<usize> {
        if statements.is_empty() {
            return None;
        }
        let draft =
            Draft { create: statements, ..Draft::new(Section::PostData, EntryKind::Acl, String::new()) };
        let home = self.nodes[main].home;
        let node = self.push(object, draft, 0, vec![main]);
        self.nodes[node].home = home;
        if matches!(object.body, Body::Schema(_)) {
            self.nodes[node].key.priority = SCHEMA_ACL_PRIORITY;
        }
        address.clone_into(&mut self.entries[node].name);
        Some(node)
    }

    fn add_system_privileges(&mut self, system: &SystemPrivileges) {
        let mut statements = Vec::new();
        if self.options.owners && system.column.is_none() && system.initial_owner.is_some() {
            statements.push(format!("ALTER {} OWNER TO {}", system.address, quote_identifier(&system.owner)));
        }
        statements.extend(system_grants(system, self.plan.catalog.server_version, self.target.version));
        if !statements.is_empty() {
            self.push_system_acl(system, statements);
        }
    }
}
