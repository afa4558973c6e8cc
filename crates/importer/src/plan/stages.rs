//! Which stage of an import each entry belongs to.

use std::collections::HashMap;

use dbhaul_catalog::{EntryKind, Section, TocEntry};

use crate::StatisticsWave;

/// The stages, in order. Within a serial stage entries run in TOC order over one session; within a
/// parallel one they are steps of a scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum StageName {
    /// Serial: schemas, types, functions, tables.
    PreData,
    /// Parallel: rows, indexes, constraints, triggers and all else.
    Bulk,
    /// Serial: row security and its policies. As in `pg_dump` after all constraints: with row security in
    /// force, a foreign key to the table is refused, and a function that reads it for an index is too.
    Policies,
    /// Serial: privileges. As in `pg_restore` (`RESTORE_PASS_ACL`) after all else, because a role may
    /// have taken from itself what loading needs.
    Grants,
    /// Parallel: materialized views, which may call anything and need the privileges above.
    Refresh,
    /// Serial: positions of sequences once more, where what came after them may have moved them.
    Positions,
    /// Serial: publications, subscriptions and event triggers, which would otherwise act on what we do.
    Last,
}

impl StageName {
    /// All stages, in order.
    pub(crate) const ALL: [StageName; 7] = [
        StageName::PreData,
        StageName::Bulk,
        StageName::Policies,
        StageName::Grants,
        StageName::Refresh,
        StageName::Positions,
        StageName::Last,
    ];

    /// Whether its entries run in TOC order over one session.
    pub(crate) fn is_serial(self) -> bool {
        !matches!(self, StageName::Bulk | StageName::Refresh)
    }

    /// Which planner statistics are set, if they are copied, once the stage is done.
    pub(crate) fn statistics_wave(self) -> Option<StatisticsWave> {
        match self {
            StageName::Bulk => Some(StatisticsWave::Tables),
            StageName::Refresh => Some(StatisticsWave::Refreshed),
            _ => None,
        }
    }

    /// The name shown to people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            StageName::PreData => "pre-data",
            StageName::Bulk => "data and post-data",
            StageName::Policies => "row security",
            StageName::Grants => "privileges",
            StageName::Refresh => "materialized views",
            StageName::Positions => "positions of sequences, once more",
            StageName::Last => "publications and event triggers",
        }
    }

    fn of_kind(entry: &TocEntry) -> StageName {
        match entry.kind {
            EntryKind::RowSecurity | EntryKind::Policy => StageName::Policies,
            EntryKind::Acl | EntryKind::DefaultAcl => StageName::Grants,
            EntryKind::MaterializedViewData => StageName::Refresh,
            EntryKind::EventTrigger => StageName::Last,
            EntryKind::Publication
            | EntryKind::PublicationTable
            | EntryKind::PublicationSchema
            | EntryKind::Subscription => StageName::Last,
            _ if entry.section == Section::PreData && entry.data.is_none() => StageName::PreData,
            _ => StageName::Bulk,
        }
    }
}

/// Assigns stages in TOC order: an entry never stands in an earlier stage than one it depends on.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    stages: HashMap<u32, StageName>,
}

impl Staging {
    /// The stage of the next entry. What reads materialized views waits until they are filled.
    pub(crate) fn assign(&mut self, entry: &TocEntry, reads_refreshed: bool) -> StageName {
        let of_dependencies = entry.depends_on.iter().filter_map(|on| self.stages.get(on)).max().copied();
        let mut stage = StageName::of_kind(entry).max(of_dependencies.unwrap_or(StageName::PreData));
        let is_serial_work = stage.is_serial() && stage != StageName::PreData;
        if reads_refreshed || entry.data.is_some() && is_serial_work {
            stage = stage.max(StageName::Refresh);
        }
        self.stages.insert(entry.id, stage);
        stage
    }
}
