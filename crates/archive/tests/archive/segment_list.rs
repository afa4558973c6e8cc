//! Segment lists and documents.

use dbhaul_archive::*;
use dbhaul_rows::RowDigest;
use proptest::prelude::*;

use crate::fixture::{data, list};

fn read(table: &str, pieces: &[impl AsRef<[u8]>]) -> Result<(Vec<Segment>, ListTotals), ArchiveError> {
    let mut reader = SegmentListReader::new(table);
    let mut segments = Vec::new();
    for piece in pieces {
        reader.push(piece.as_ref(), &mut segments)?;
    }
    reader.finish().map(|totals| (segments, totals))
}

/// A segment of `chunks` chunks in three packs.
fn segment(index: u32, chunks: u64) -> Segment {
    let chunk = |n: u64| {
        let seed = u64::from(index) << 32 | n;
        RowChunk {
            place: ChunkPlace {
                id: ChunkId::of(&seed.to_le_bytes()),
                pack: PackId([(n % 3) as u8; 32]),
                offset: n * 1000,
                stored_bytes: 900,
                plain_bytes: 65_536,
            },
            digest: RowDigest { row_count: n, sum: i128::from(n) << 62 },
        }
    };
    Segment { index, range: SegmentRange::Part(index), chunks: (0..chunks).map(chunk).collect() }
}

proptest! {
    #[test]
    fn any_list_survives_any_framing(sizes in prop::collection::vec(0_u64..40, 0..12), piece_bytes in 1_usize..5000) {
        let segments: Vec<Segment> = sizes.iter().enumerate().map(|(n, size)| segment(n as u32, *size)).collect();
        let (pieces, totals) = list("s.t", &segments);
        let text = pieces.concat();
        let framed: Vec<&[u8]> = text.chunks(piece_bytes).collect();
        prop_assert_eq!(read("s.t", &framed).unwrap(), (segments, totals));
    }
}

#[test]
fn a_list_without_any_of_its_lines_is_damaged() {
    let (_, segments) = data();
    let text = list("public.film", &segments).0.concat();
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    assert!(lines.len() > 8);
    for missing in 0..lines.len() {
        let left: Vec<&[u8]> =
            lines.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, line)| *line).collect();
        let error = read("public.film", &left).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::DamagedSegmentList { table, .. } if table == "public.film"),
            "{error}"
        );
        let twice = [&lines[..=missing], &lines[missing..]].concat();
        let error = read("public.film", &twice).unwrap_err();
        assert!(matches!(error, ArchiveError::DamagedSegmentList { .. }), "{error}");
    }
}

#[test]
fn a_list_cut_anywhere_is_damaged() {
    let (_, segments) = data();
    let text = list("public.film", &segments).0.concat();
    for end in 0..text.len() {
        let error = read("public.film", &[&text[..end]]).unwrap_err();
        assert!(matches!(error, ArchiveError::DamagedSegmentList { .. }), "{end}: {error}");
    }
}

#[test]
fn the_list_of_another_table_and_of_the_future_are_refused() {
    let (pieces, _) = list("public.film", &[]);
    let error = read("public.actor", &pieces).unwrap_err();
    assert!(error.to_string().contains("it is the list of public.film"), "{error}");
    let text = String::from_utf8(pieces.concat()).unwrap().replace("\"version\":1", "\"version\":2");
    let error = read("public.film", &[text]).unwrap_err();
    assert!(matches!(error, ArchiveError::UnsupportedVersion { found: 2, .. }), "{error}");
}

#[test]
fn segments_are_written_in_order() {
    let mut writer = SegmentListWriter::new("s.t").unwrap();
    assert!(matches!(writer.write(&segment(1, 1), &mut vec![]), Err(ArchiveError::Encode { .. })));
}

#[test]
fn unchanged_segments_form_unchanged_pieces() {
    let segments: Vec<Segment> = (0..20).map(|n| segment(n, 1000)).collect();
    let (before, _) = list("s.t", &segments);
    assert!(before.len() >= 20, "{} pieces", before.len());
    let mut changed = segments;
    changed[7] = segment(7, 999);
    let (after, _) = list("s.t", &changed);
    let new = after.iter().filter(|piece| !before.contains(piece)).count();
    assert!(new <= 2, "{new} of {} pieces are new", after.len());
}

#[test]
fn a_giant_segment_is_split_over_bounded_pieces() {
    let (pieces, _) = list("s.t", &[segment(0, 60_000)]);
    assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() < 5 << 20));
    assert_eq!(read("s.t", &pieces).unwrap().0, [segment(0, 60_000)]);
}

/// What is kept of the list of a table of any size: where its segments begin.
#[test]
fn a_segment_is_read_from_the_piece_in_which_it_begins() {
    for sizes in [vec![3000; 9], vec![5; 400], vec![0, 60_000, 0, 1]] {
        let segments: Vec<Segment> =
            sizes.iter().enumerate().map(|(n, size)| segment(n as u32, *size)).collect();
        let (pieces, _) = list("s.t", &segments);
        let (mut reader, mut starts, mut next) = (SegmentListReader::new("s.t"), Vec::new(), 0);
        for (number, piece) in pieces.iter().enumerate() {
            let mut found = Vec::new();
            reader.push(piece, &mut found).unwrap();
            for _ in &found {
                starts.push(next);
                next = number;
            }
            if !found.is_empty() && reader.is_between_segments() {
                next = number + 1;
            }
        }
        assert_eq!(starts.len(), segments.len());
        for (wanted, start) in segments.iter().zip(starts) {
            let mut reader = SegmentListReader::from_segment("s.t", wanted.index);
            let mut found = Vec::new();
            for piece in &pieces[start..] {
                reader.push(piece, &mut found).unwrap();
                if !found.is_empty() {
                    break;
                }
            }
            assert_eq!(found.first(), Some(wanted));
        }
    }
}

#[test]
fn a_document_survives_its_pieces_and_misses_them() {
    let value: Vec<String> = (0..200_000).map(|n| format!("entry number {n}")).collect();
    let pieces = json_pieces("list", &value).unwrap();
    assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() <= DOCUMENT_PIECE_BYTES));
    let document =
        Document { plain_bytes: pieces.iter().map(|piece| piece.len() as u64).sum(), pieces: vec![] };
    let assemble = |pieces: &[bytes::Bytes]| {
        let mut assembler = DocumentAssembler::new("list", &document);
        pieces.iter().try_for_each(|piece| assembler.push(piece))?;
        assembler.finish::<Vec<String>>()
    };
    assert_eq!(assemble(&pieces).unwrap(), value);
    assert!(matches!(assemble(&pieces[1..]), Err(ArchiveError::DamagedDocument { .. })));
    let twice = [pieces.clone(), pieces].concat();
    assert!(matches!(assemble(&twice), Err(ArchiveError::DamagedDocument { .. })));
}
