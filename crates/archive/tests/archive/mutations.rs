//! Whatever the bytes are, reading them ends with a value or an error, and takes little memory: it never panics.
//!
//! Each case changes some bytes or numbers of what dbhaul writes, or makes them up. The seeds are fixed, so that every
//! run has the same cases; with `DBHAUL_LONG` there are a hundred times as many.

use bytes::Bytes;
use dbhaul_archive::{
    ChunkCodec, ChunkOpener, ChunkPlace, ListCheck, Manifest, PackIndex, PackReader, PackSummary, RepoConfig,
    SegmentListReader, TocOutline, parse_index_tail, read_document,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use crate::fixture::{Backup, backup, list, toc};

fn config() -> Config {
    let cases = if std::env::var_os("DBHAUL_LONG").is_some() { 51_200 } else { 512 };
    Config { cases, rng_seed: RngSeed::Fixed(20_261_129), failure_persistence: None, ..Config::default() }
}

/// One change of a text.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    /// Repeats what is between two places.
    Repeat(usize, usize),
    /// Puts another number in the place of the n-th.
    Number(usize, String),
    /// Puts another word in the place of the n-th that stands in quotes.
    Word(usize, String),
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u64>().prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        prop_oneof![
            Just("0"),
            Just("-1"),
            Just("18446744073709551615"),
            Just("18446744073709551616"),
            Just("1e309"),
            Just("9223372036854775808"),
            Just("4294967296"),
            Just("[]"),
            Just("null"),
            Just("{}"),
            Just("\"\"")
        ]
        .prop_map(str::to_owned),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<usize>;
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, mask)| Change::Flip(at, mask)),
        1 => at().prop_map(Change::Cut),
        1 => (at(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
        4 => (at(), number()).prop_map(|(at, text)| Change::Number(at, text)),
        2 => (at(), "[a-z0-9:-]{0,70}").prop_map(|(at, text)| Change::Word(at, text)),
    ]
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    proptest::collection::vec(change(), 1..4)
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    changes.iter().fold(bytes.to_vec(), apply)
}

fn apply(mut bytes: Vec<u8>, change: &Change) -> Vec<u8> {
    let length = bytes.len().max(1);
    match change {
        Change::Flip(at, mask) => {
            if let Some(byte) = bytes.get_mut(at % length) {
                *byte ^= mask;
            }
        }
        Change::Cut(at) => bytes.truncate(at % length),
        Change::Insert(at, more) => {
            let at = (at % length).min(bytes.len());
            bytes.splice(at..at, more.iter().copied());
        }
        Change::Repeat(from, to) => {
            let (from, to) = ((from % length).min(bytes.len()), (to % length).min(bytes.len()));
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(from.max(to)..from.max(to), part);
        }
        Change::Number(at, text) => replace(&mut bytes, *at, text, |byte| byte.is_ascii_digit()),
        Change::Word(at, text) => {
            replace(&mut bytes, *at, text, |byte| byte.is_ascii_alphanumeric() || b":-_.".contains(&byte));
        }
    }
    bytes
}

/// Replaces one run of such bytes.
fn replace(bytes: &mut Vec<u8>, number: usize, text: &str, is_part: impl Fn(u8) -> bool) {
    let starts: Vec<usize> =
        (0..bytes.len()).filter(|&at| is_part(bytes[at]) && (at == 0 || !is_part(bytes[at - 1]))).collect();
    let Some(&start) = starts.get(number % starts.len().max(1)) else { return };
    let end = (start..bytes.len()).find(|&at| !is_part(bytes[at])).unwrap_or(bytes.len());
    bytes.splice(start..end, text.bytes());
}

/// A manifest with this body, sealed.
fn sealed(body: &[u8]) -> Vec<u8> {
    let hash = blake3::hash(body).to_hex();
    let seal = format!("{{\"dbhaul\":\"manifest\",\"body_bytes\":{},\"blake3\":\"{hash}\"}}\n", body.len());
    [seal.as_bytes(), body].concat()
}

fn manifest_body(backup: &Backup) -> Vec<u8> {
    let bytes = backup.manifest.to_bytes().unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    bytes[end + 1..].to_vec()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn configurations(changes in changes(), junk in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = &backup().objects["repo.json"];
        let _ = RepoConfig::from_bytes(&changed(bytes, &changes));
        prop_assert!(RepoConfig::from_bytes(&junk).is_err());
    }

    /// What a manifest says that is taken can be relied upon.
    #[test]
    fn manifests(changes in changes(), junk in proptest::collection::vec(any::<u8>(), 0..300)) {
        let backup = backup();
        let key = backup.manifest.key().to_string();
        prop_assert!(Manifest::from_bytes(&key, &junk).is_err());
        prop_assert!(Manifest::from_bytes(&key, &sealed(&junk)).is_err());
        let body = changed(&manifest_body(&backup), &changes);
        if let Ok(manifest) = Manifest::from_bytes(&key, &sealed(&body)) {
            prop_assert_eq!(manifest.totals, manifest.computed_totals());
            let segments: u64 = manifest.tables.iter().map(|table| table.segments).sum();
            prop_assert!(segments <= dbhaul_archive::MAX_SEGMENTS);
            let pieces = manifest.catalog.pieces.iter().chain(&manifest.toc.pieces);
            let pieces = pieces.chain(manifest.tables.iter().flat_map(|table| &table.list.pieces));
            for piece in pieces {
                prop_assert!(piece.plain_bytes <= dbhaul_archive::MAX_PIECE_BYTES);
                let pack = manifest.packs.iter().find(|pack| pack.id == piece.pack).unwrap();
                prop_assert!(piece.offset.checked_add(piece.stored_bytes).is_some_and(|end| end < pack.bytes));
            }
        }
    }

    /// A list that is read adds up to what its end says, whatever it holds, and its places are believed only where
    /// a pack has them.
    #[test]
    fn segment_lists(
        changes in changes(),
        junk in proptest::collection::vec(any::<u8>(), 0..300),
        piece_bytes in 1_usize..5000,
    ) {
        let backup = backup();
        let segments = crate::fixture::data().1;
        let text = list("public.film", &segments).0.concat();
        for text in [changed(&text, &changes), junk] {
            let (mut reader, mut found) = (SegmentListReader::new("public.film"), Vec::new());
            let read = text.chunks(piece_bytes).try_for_each(|piece| reader.push(piece, &mut found));
            let Ok(totals) = read.and_then(|()| reader.finish()) else { continue };
            prop_assert_eq!(found.len() as u64, totals.segments);
            let packs = backup.manifest.packs.iter().map(|pack| (pack.id, *pack)).collect();
            let table = &backup.manifest.tables[0];
            let index = PackIndex::new(
                backup.data_pack.id, backup.data_pack.bytes.len() as u64, backup.data_pack.entries.clone()
            ).unwrap();
            let mut check = ListCheck::new(table, &packs, true);
            let checked = check.packs(&found).and_then(|named| {
                let taken = found.iter().try_for_each(|segment| check.take(segment, &named, |_| Some(&index)));
                taken.and_then(|()| check.end_pass(&totals))
            });
            if checked.is_ok() {
                let places: Vec<ChunkPlace> =
                    found.iter().flat_map(|segment| &segment.chunks).map(|chunk| chunk.place).collect();
                prop_assert_eq!(places, backup.data_pack.places().collect::<Vec<_>>());
            }
        }
    }

    /// Named by the hash of its bytes, as a forger would.
    #[test]
    fn packs_and_indexes(changes in changes(), junk in proptest::collection::vec(any::<u8>(), 0..300), cut in any::<usize>()) {
        let pack = backup().data_pack;
        for bytes in [changed(&pack.bytes, &changes), junk] {
            let id = dbhaul_archive::PackId::of(&bytes);
            if let Ok(read) = PackReader::open(id, Bytes::from(bytes.clone())) {
                let stored: u64 = read.entries().iter().map(|entry| entry.stored_bytes).sum();
                prop_assert!(stored < bytes.len() as u64);
                let mut opener = ChunkOpener::new().unwrap();
                for entry in read.entries() {
                    let place = entry.place(id);
                    let _ = opener.open(&place, &read.stored(&place).unwrap());
                }
            }
            let tail = &bytes[cut % (bytes.len() + 1)..];
            let _ = parse_index_tail(id, bytes.len() as u64, tail);
            let summary = PackSummary { id, bytes: bytes.len() as u64, kind: dbhaul_archive::PackKind::Data };
            if let Ok(Err(tail_bytes)) = PackIndex::parse(summary.id, summary.bytes, tail) {
                prop_assert!(tail_bytes <= bytes.len() as u64);
            }
        }
    }

    /// A place decides how much is decompressed, never the frame.
    #[test]
    fn chunks(changes in changes(), plain_bytes in any::<u32>()) {
        let pack = backup().data_pack;
        let place = pack.places().next().unwrap();
        let stored = pack.bytes.slice(place.offset as usize..place.range().end as usize);
        let mut opener = ChunkOpener::new().unwrap();
        let other = changed(&stored, &changes);
        let place = ChunkPlace { stored_bytes: other.len() as u64, ..place };
        if let Ok(plain) = opener.open(&place, &other) {
            prop_assert_eq!(dbhaul_archive::ChunkId::of(&plain), place.id);
        }
        let longer = ChunkPlace { plain_bytes: u64::from(plain_bytes) + 300, ..place };
        prop_assert!(opener.open(&longer, &stored).is_err());
        let _ = ChunkOpener::open_in_pieces(&ChunkCodec::plain(), &place, Bytes::from(other), |_| {});
    }

    #[test]
    fn tables_of_contents(changes in changes()) {
        let text = changed(toc().to_string().as_bytes(), &changes);
        let mut sealer = dbhaul_archive::ChunkSealer::new(1).unwrap();
        let mut pack = dbhaul_archive::PackBuilder::new(dbhaul_archive::PackKind::Meta);
        let entry = pack.add(&sealer.seal(&text).unwrap());
        let pack = pack.finish();
        let place = entry.place(pack.id);
        let stored = PackReader::open(pack.id, pack.bytes.clone()).unwrap().stored(&place).unwrap();
        let document = dbhaul_archive::Document::new(vec![place]);
        let _ = read_document::<TocOutline>(&ChunkCodec::plain(), "table of contents", &document, vec![stored]);
    }
}
