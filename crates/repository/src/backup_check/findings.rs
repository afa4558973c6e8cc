//! What a check notes of an error: which object it is about, whether it is damage, and what lies in that object.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_archive::{ArchiveError, PackId, keys};
use dbhaul_progress::one_line;
use dbhaul_store::ErrorKind;
use tokio_util::sync::CancellationToken;

use super::{Check, finding};
use crate::RepositoryError;
use crate::check::stop_if_cancelled;
use crate::lists::scan_list;

/// Names of what lies in a damaged object that are kept.
const NAMED_PARTS: usize = 10;

impl Check<'_> {
    /// Notes an error; one that says nothing of the backup ends the check. `object` is what was looked at, if the error
    /// does not name it.
    pub(super) fn note(&mut self, object: String, error: RepositoryError) -> Result<(), RepositoryError> {
        let object = match &error {
            RepositoryError::Archive { source, .. } => {
                self.bad.extend(pack_of(source));
                object_of(source).unwrap_or(object)
            }
            RepositoryError::Damaged { what, .. } => what.clone(),
            RepositoryError::Store(error) => error.key().map_or(object, str::to_owned),
            _ => object,
        };
        if let Ok(pack) = keys::parse_pack(&object) {
            self.bad.insert(pack);
        }
        let list = match (error.is_damage(), can_be_passed_over(&error)) {
            (true, _) => &mut self.damage,
            (false, true) => &mut self.unread,
            (false, false) => return Err(error),
        };
        list.entry(object.clone()).or_insert_with(|| finding(object, one_line(&error)));
        Ok(())
    }

    /// Adds to each damaged pack what lies in it. A list that cannot be read is a finding of its own.
    pub(super) async fn name_what_lies_there(
        &mut self,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        if self.bad.is_empty() && !self.has_broken_lists {
            return Ok(());
        }
        let manifest = self.manifest;
        let mut parts: BTreeMap<PackId, BTreeSet<String>> = BTreeMap::new();
        let mut add = |pack: PackId, part: String| {
            parts.entry(pack).or_default().insert(part);
        };
        let documents = [
            ("the catalog", Some(&manifest.catalog)),
            ("the table of contents", Some(&manifest.toc)),
            ("the roles", manifest.roles.as_ref()),
            ("the planner statistics", manifest.statistics.as_ref()),
        ];
        for (name, document) in documents {
            for piece in document.into_iter().flat_map(|document| &document.pieces) {
                add(piece.pack, name.to_owned());
            }
        }
        let repository = self.repository.clone();
        for table in &manifest.tables {
            stop_if_cancelled(cancel)?;
            let name = format!("table {}", table.qualified_name());
            let mut is_readable = true;
            for piece in &table.list.pieces {
                add(piece.pack, name.clone());
                is_readable &= !self.bad.contains(&piece.pack);
            }
            if !is_readable {
                continue;
            }
            let mut list = scan_list(&repository, table);
            let scanned = loop {
                match list.next().await {
                    Ok(Some((_, segments))) => {
                        for chunk in segments.iter().flat_map(|segment| &segment.chunks) {
                            if self.bad.contains(&chunk.place.pack) {
                                add(chunk.place.pack, name.clone());
                            }
                        }
                    }
                    Ok(None) => break list.finish().map(drop),
                    Err(error) => break Err(error),
                }
            };
            if let Err(error) = scanned {
                self.note(format!("the list of {name}"), error)?;
            }
        }
        for (pack, parts) in parts {
            let key = keys::pack(pack);
            let found = [&mut self.damage, &mut self.unread].into_iter().find_map(|list| list.get_mut(&key));
            if let Some(finding) = found {
                finding.affected_count = parts.len() as u64;
                finding.affects = parts.into_iter().take(NAMED_PARTS).collect();
            }
        }
        Ok(())
    }
}

/// Whether it concerns one object, so that the others can still be looked at.
fn can_be_passed_over(error: &RepositoryError) -> bool {
    let RepositoryError::Store(error) = error else { return false };
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::Invalid | ErrorKind::Other
    )
}

fn pack_of(error: &ArchiveError) -> Option<PackId> {
    match error {
        ArchiveError::DamagedPack { pack, .. }
        | ArchiveError::MissingPack { pack }
        | ArchiveError::PackSize { pack, .. }
        | ArchiveError::DamagedChunk { pack, .. } => Some(*pack),
        _ => None,
    }
}

fn object_of(error: &ArchiveError) -> Option<String> {
    Some(match error {
        ArchiveError::DamagedSegmentList { table, .. } => format!("the list of table {table}"),
        ArchiveError::DamagedDocument { document, .. } => format!("the {document}"),
        ArchiveError::Inconsistent { object, .. } => object.clone(),
        ArchiveError::MissingPart { key, .. }
        | ArchiveError::PartSize { key, .. }
        | ArchiveError::StrayPart { key }
        | ArchiveError::DamagedPart { key, .. } => key.clone(),
        ArchiveError::DamagedManifest { key, .. } | ArchiveError::ForgedManifest { key, .. } => key.clone(),
        _ => keys::pack(pack_of(error)?),
    })
}
