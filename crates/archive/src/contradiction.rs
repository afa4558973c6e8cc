//! What a manifest says of itself, and whether that can be.

use std::collections::{BTreeMap, BTreeSet};

use crate::pack_index::{HEADER_BYTES, trailer_bytes};
use crate::part::PARQUET_FEATURE;
use crate::repo::AGE_FEATURE;
use crate::{
    Document, MAX_DOCUMENT_BYTES, MAX_PACK_BYTES, MAX_PIECE_BYTES, MAX_SEGMENTS, MAX_STATISTICS_BYTES,
    MAX_STATISTICS_PIECE_BYTES, Manifest, PackId, PackKind, PackSummary, TableEntry, Totals,
    max_stored_bytes,
};

impl Manifest {
    /// What is wrong with the manifest in itself: nothing else of the backup is needed to find it.
    pub(crate) fn contradiction(&self) -> Result<(), String> {
        let is_encrypted = self.required_features.iter().any(|feature| feature == AGE_FEATURE);
        if is_encrypted != self.generation.is_some() || (is_encrypted && self.format_version < 2) {
            return Err("what it says of encryption contradicts its features or its version".to_owned());
        }
        let has_parts = self.parts().next().is_some();
        if has_parts != self.required_features.iter().any(|feature| feature == PARQUET_FEATURE) {
            return Err("what it says of Parquet contradicts its tables".to_owned());
        }
        if has_parts && is_encrypted {
            return Err("it has parts that are not encrypted".to_owned());
        }
        self.check_totals()?;
        let packs = self.packs_by_id()?;
        let mut names = BTreeSet::new();
        for table in &self.tables {
            if !names.insert((table.kind, &table.schema, &table.name)) {
                return Err(format!("it has two entries of table {}", table.qualified_name()));
            }
            check_counts(table).map_err(|reason| format!("table {}: {reason}", table.qualified_name()))?;
        }
        let segments = self.tables.iter().try_fold(0_u64, |sum, table| sum.checked_add(table.segments));
        if segments.is_none_or(|segments| segments > MAX_SEGMENTS) {
            return Err(format!("its tables have more than {MAX_SEGMENTS} segments together"));
        }
        let mut sequences = BTreeSet::new();
        if let Some(twice) =
            self.sequences.iter().find(|value| !sequences.insert((&value.schema, &value.name)))
        {
            return Err(format!("it has two positions of sequence {}.{}", twice.schema, twice.name));
        }
        for (name, document, max_bytes) in self.documents() {
            // they hold values of columns
            let is_of_rows = self.generation.is_some()
                && self.statistics.as_ref().is_some_and(|s| std::ptr::eq(s, document));
            let kind = if is_of_rows { PackKind::Data } else { PackKind::Meta };
            let checked = check_document(document, kind, max_bytes, &packs);
            checked.map_err(|reason| format!("{name}: {reason}"))?;
        }
        for (name, document, max_bytes) in self.whole_documents() {
            check_whole(document, max_bytes).map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(())
    }

    /// Every text that is stored in pieces: what errors call it, and the most that a piece may have.
    pub(crate) fn documents(&self) -> impl Iterator<Item = (String, &Document, u64)> {
        let named = |name: &'static str| move |document| (name.to_owned(), document, MAX_PIECE_BYTES);
        let lists = self.tables.iter().map(|table| {
            (format!("the segment list of {}", table.qualified_name()), &table.list, MAX_PIECE_BYTES)
        });
        [&self.catalog]
            .into_iter()
            .map(named("the catalog"))
            .chain([&self.toc].into_iter().map(named("the table of contents")))
            .chain(self.roles.iter().map(named("the roles")))
            .chain(
                self.statistics.iter().map(|document| {
                    ("the planner statistics".to_owned(), document, MAX_STATISTICS_PIECE_BYTES)
                }),
            )
            .chain(lists)
    }

    /// The documents that are read as a whole, so that all of their pieces are in memory together.
    fn whole_documents(&self) -> impl Iterator<Item = (&'static str, &Document, u64)> {
        let roles = self.roles.iter().map(|document| ("the roles", document, MAX_DOCUMENT_BYTES));
        let statistics = self.statistics.iter();
        let statistics =
            statistics.map(|document| ("the planner statistics", document, MAX_STATISTICS_BYTES));
        let others = [("the catalog", &self.catalog), ("the table of contents", &self.toc)];
        others
            .map(|(name, document)| (name, document, MAX_DOCUMENT_BYTES))
            .into_iter()
            .chain(roles)
            .chain(statistics)
    }

    /// The packs by their names, each once.
    fn packs_by_id(&self) -> Result<BTreeMap<PackId, &PackSummary>, String> {
        let mut packs = BTreeMap::new();
        for pack in &self.packs {
            if packs.insert(pack.id, pack).is_some() {
                return Err(format!("it lists pack {} twice", pack.id));
            }
            if pack.bytes < (HEADER_BYTES + trailer_bytes(0)) as u64 {
                return Err(format!("pack {} is to be shorter than any pack: bytes {}", pack.id, pack.bytes));
            }
            if pack.bytes > MAX_PACK_BYTES {
                let reason = format!("pack {} is to have {} bytes", pack.id, pack.bytes);
                return Err(format!("{reason}, where {MAX_PACK_BYTES} is the most"));
            }
        }
        Ok(packs)
    }

    fn check_totals(&self) -> Result<(), String> {
        let computed = self.checked_totals().ok_or("its totals are larger than can be counted")?;
        if self.totals == computed {
            return Ok(());
        }
        Err(format!("its totals are {:?} where its tables and packs make {computed:?}", self.totals))
    }

    /// The totals of the tables and packs as they are listed; `None` if they cannot be counted.
    pub(crate) fn checked_totals(&self) -> Option<Totals> {
        let mut totals = Totals {
            tables: self.tables.len() as u64,
            uploaded_bytes: self.totals.uploaded_bytes,
            ..Totals::default()
        };
        for table in &self.tables {
            totals.digest = totals.digest.checked_merged(table.digest)?;
            totals.plain_bytes = totals.plain_bytes.checked_add(table.plain_bytes)?;
            totals.stored_bytes = totals.stored_bytes.checked_add(table.stored_bytes)?;
        }
        for (_, part) in self.parts() {
            totals.pack_bytes = totals.pack_bytes.checked_add(part.bytes)?;
        }
        for pack in &self.packs {
            totals.pack_bytes = totals.pack_bytes.checked_add(pack.bytes)?;
        }
        Some(totals)
    }
}

/// A row has at least its line feed, a chunk a row, and a line of the list at least its braces.
fn check_counts(table: &TableEntry) -> Result<(), String> {
    if !table.parts.is_empty() {
        return table.check_parts();
    }
    let lines = table.segments.checked_add(table.chunks);
    if lines.is_none_or(|lines| lines > table.list.plain_bytes) {
        return Err(format!(
            "its list cannot name so many: segments {}, chunks {}, bytes of the list {}",
            table.segments, table.chunks, table.list.plain_bytes
        ));
    }
    if table.digest.row_count > table.plain_bytes || table.chunks > table.digest.row_count {
        return Err(format!(
            "its counts do not fit each other: rows {}, chunks {}, bytes {}",
            table.digest.row_count, table.chunks, table.plain_bytes
        ));
    }
    Ok(())
}

fn check_document(
    document: &Document,
    kind: PackKind,
    max_piece_bytes: u64,
    packs: &BTreeMap<PackId, &PackSummary>,
) -> Result<(), String> {
    let mut plain_bytes = 0_u64;
    for piece in &document.pieces {
        let pack = packs.get(&piece.pack).ok_or_else(|| {
            format!("the piece {} lies in pack {}, which is not listed", piece.id, piece.pack)
        })?;
        if pack.kind != kind {
            let found = pack.kind.words();
            return Err(format!(
                "the piece {} lies in pack {}, which is one of {found}",
                piece.id, piece.pack
            ));
        }
        if piece.plain_bytes > max_piece_bytes {
            let reason = format!("the piece {} has the size {}", piece.id, piece.plain_bytes);
            return Err(format!("{reason}, where {max_piece_bytes} is the most"));
        }
        if piece.stored_bytes > max_stored_bytes(piece.plain_bytes) {
            let (stored, plain) = (piece.stored_bytes, piece.plain_bytes);
            return Err(format!("the piece {} takes {stored} bytes for {plain}", piece.id));
        }
        if !lies_within(piece.offset, piece.stored_bytes, pack.bytes) {
            return Err(format!("the piece {} does not lie within pack {}", piece.id, piece.pack));
        }
        plain_bytes =
            plain_bytes.checked_add(piece.plain_bytes).ok_or("its pieces are larger than can be counted")?;
    }
    match plain_bytes == document.plain_bytes {
        true => Ok(()),
        false => {
            Err(format!("its pieces have the size {plain_bytes} together, not {}", document.plain_bytes))
        }
    }
}

/// A piece is cheap to name again and again, and would take its memory each time.
fn check_whole(document: &Document, max_bytes: u64) -> Result<(), String> {
    if document.plain_bytes > max_bytes {
        let reason = format!("it has {} bytes", document.plain_bytes);
        return Err(format!("{reason}, where {max_bytes} is the most"));
    }
    let mut places = BTreeSet::new();
    match document.pieces.iter().find(|piece| !places.insert((piece.pack, piece.offset))) {
        Some(twice) => Err(format!("it names the piece {} twice", twice.id)),
        None => Ok(()),
    }
}

/// Whether a chunk can lie there in a pack of this size.
fn lies_within(offset: u64, stored_bytes: u64, pack_bytes: u64) -> bool {
    let end = offset.checked_add(stored_bytes).and_then(|end| end.checked_add(trailer_bytes(1) as u64));
    offset >= HEADER_BYTES as u64 && end.is_some_and(|end| end <= pack_bytes)
}
