//! What of a catalog becomes entries, and what can go wrong.

use std::collections::BTreeSet;

use crate::{EntryKind, Identity, ObjectId, Section};

/// What a table of contents shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TocOptions {
    /// Definitions that stand before the rows.
    pub pre_data: bool,
    /// Rows, sequence values, contents of large objects.
    pub data: bool,
    /// Indexes, constraints, triggers and the like.
    pub post_data: bool,
    /// `ALTER ... OWNER TO`.
    pub owners: bool,
    /// `GRANT` and `REVOKE`, default privileges.
    pub privileges: bool,
    /// `COMMENT ON`.
    pub comments: bool,
    /// `SECURITY LABEL ON`.
    pub security_labels: bool,
    /// Row-security policies.
    pub policies: bool,
    /// Publications.
    pub publications: bool,
    /// Subscriptions.
    pub subscriptions: bool,
    /// Tables whose rows stay behind (`--exclude-table-data`).
    pub without_data: BTreeSet<ObjectId>,
    /// Foreign tables whose rows are taken (`--include-foreign-data`).
    pub with_foreign_data: BTreeSet<ObjectId>,
    /// The newest major that the target may be of, where any from the source's on will do, as for a
    /// script: then statements rely on nothing that these majors disagree about.
    pub up_to_major: Option<u32>,
}

impl Default for TocOptions {
    /// Everything.
    fn default() -> Self {
        TocOptions {
            pre_data: true,
            data: true,
            post_data: true,
            owners: true,
            privileges: true,
            comments: true,
            security_labels: true,
            policies: true,
            publications: true,
            subscriptions: true,
            without_data: BTreeSet::new(),
            with_foreign_data: BTreeSet::new(),
            up_to_major: None,
        }
    }
}

impl TocOptions {
    /// Definitions only.
    pub fn schema_only() -> Self {
        TocOptions { data: false, ..TocOptions::default() }
    }

    /// Rows only.
    pub fn data_only() -> Self {
        TocOptions { pre_data: false, post_data: false, ..TocOptions::default() }
    }

    /// Whether a section is wanted.
    pub fn wants(&self, section: Section) -> bool {
        match section {
            Section::PreData => self.pre_data,
            Section::Data => self.data,
            Section::PostData => self.post_data,
        }
    }

    /// Whether an entry of a kind is wanted, whatever its section: a comment or security label only with the
    /// object that it is `about`.
    pub(crate) fn wants_entry(&self, kind: EntryKind, about: EntryKind) -> bool {
        let is_note = matches!(kind, EntryKind::Comment | EntryKind::SecurityLabel);
        self.wants_kind(kind) && (!is_note || self.wants_kind(about))
    }

    /// Whether entries of this TOC kind are wanted, whatever their section.
    fn wants_kind(&self, kind: EntryKind) -> bool {
        match kind {
            EntryKind::DefaultAcl | EntryKind::Acl => self.privileges,
            EntryKind::Comment => self.comments,
            EntryKind::SecurityLabel => self.security_labels,
            // With the definitions behind the rows, but not where no rows are wanted at all.
            EntryKind::MaterializedViewData => self.data || !self.pre_data,
            EntryKind::Policy | EntryKind::RowSecurity => self.policies,
            EntryKind::Publication | EntryKind::PublicationTable | EntryKind::PublicationSchema => {
                self.publications
            }
            EntryKind::Subscription => self.subscriptions,
            _ => true,
        }
    }
}

/// Why a catalog cannot be put in restorable order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TocError {
    /// Objects that each need another of them first, in no way that can be taken apart.
    #[error("these objects need each other and cannot be created one after another: {}", list(.members))]
    Loop {
        /// The objects.
        members: Vec<Identity>,
    },
    /// A table that needs something that can only be made after the rows.
    #[error("{object} needs {needed}, which can only be created after the rows")]
    TooLate {
        /// The table or type.
        object: Box<Identity>,
        /// What it needs.
        needed: Box<Identity>,
    },
}

fn list(members: &[Identity]) -> String {
    members.iter().map(Identity::to_string).collect::<Vec<_>>().join(", ")
}
