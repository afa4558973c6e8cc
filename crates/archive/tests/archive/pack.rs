//! Packs and chunks.

use std::io::Read;

use bytes::Bytes;

use dbhaul_archive::*;

use crate::fixture::{data, film_rows};

#[test]
fn a_pack_is_a_zstd_stream_of_its_rows() {
    let (pack, _) = data();
    let mut text = String::new();
    zstd::stream::read::Decoder::new(&pack.bytes[..]).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, film_rows(0) + &film_rows(1));
    assert_eq!(pack.plain_bytes, text.len() as u64);
}

#[test]
fn a_chunk_is_stored_once_in_a_pack() {
    let mut sealer = ChunkSealer::new(1).unwrap();
    let mut builder = PackBuilder::new(PackKind::Data);
    assert!(builder.is_empty());
    let first = builder.add(&sealer.seal(b"a\n").unwrap());
    let other = builder.add(&sealer.seal(b"b\n").unwrap());
    assert_eq!(builder.add(&sealer.seal(b"a\n").unwrap()), first);
    assert_eq!(other.offset, first.offset + first.stored_bytes);
    let expected_bytes = builder.stored_bytes();
    let pack = builder.finish();
    assert_eq!(pack.bytes.len() as u64, expected_bytes);
    assert_eq!(PackReader::open(pack.id, pack.bytes.clone()).unwrap().entries(), &[first, other]);
}

#[test]
fn an_empty_pack_and_an_empty_chunk_survive() {
    let pack = PackBuilder::new(PackKind::Meta).finish();
    let reader = PackReader::open(pack.id, pack.bytes).unwrap();
    assert_eq!((reader.kind(), reader.entries().len()), (PackKind::Meta, 0));
    let mut builder = PackBuilder::new(PackKind::Data);
    let entry = builder.add(&ChunkSealer::new(3).unwrap().seal(b"").unwrap());
    let pack = builder.finish();
    let reader = PackReader::open(pack.id, pack.bytes.clone()).unwrap();
    let place = entry.place(pack.id);
    assert_eq!(ChunkOpener::new().unwrap().open(&place, &reader.stored(&place).unwrap()).unwrap().len(), 0);
}

#[test]
fn the_index_is_read_from_the_tail() {
    let (pack, _) = data();
    let total = pack.bytes.len();
    let tail = |bytes: usize| parse_index_tail(pack.id, total as u64, &pack.bytes[total - bytes..]);
    let IndexTail::Longer { tail_bytes } = tail(20).unwrap() else { panic!("20 bytes hold no index") };
    assert_eq!(tail(tail_bytes as usize).unwrap(), IndexTail::Entries(pack.entries.clone()));
    assert_eq!(tail(total).unwrap(), IndexTail::Entries(pack.entries.clone()));
    assert!(matches!(tail(15), Err(ArchiveError::DamagedPack { .. })));
    for at in total - tail_bytes as usize..total {
        let mut damaged = pack.bytes.to_vec();
        damaged[at] ^= 0x10;
        let found = parse_index_tail(pack.id, total as u64, &damaged);
        assert!(
            matches!(found, Err(ArchiveError::DamagedPack { .. }) | Ok(IndexTail::Longer { .. })),
            "{at}: {found:?}"
        );
    }
}

#[test]
fn a_header_that_no_pack_of_the_store_has_is_damage() {
    let reopened = |at: usize, byte: u8| {
        let mut bytes = data().0.bytes.to_vec();
        bytes[at] = byte;
        PackReader::open(PackId::of(&bytes), bytes.into()).unwrap_err()
    };
    for (at, byte, told) in
        [(16, 2, "version 2"), (16, 0, "version 0"), (18, 1, "cipher 1"), (19, 9, "kind 9")]
    {
        let error = reopened(at, byte);
        assert!(
            matches!(&error, ArchiveError::DamagedPack { reason, .. } if reason.contains(told)),
            "{error}"
        );
    }
}

#[test]
fn a_place_that_lies_is_found_before_memory_is_taken() {
    let (pack, _) = data();
    let reader = PackReader::open(pack.id, pack.bytes.clone()).unwrap();
    let place = pack.entries[0].place(pack.id);
    let mut opener = ChunkOpener::new().unwrap();
    let stored = reader.stored(&place).unwrap();
    for wrong in [
        ChunkPlace { plain_bytes: place.plain_bytes + 1, ..place },
        ChunkPlace { plain_bytes: u64::MAX, ..place },
        ChunkPlace { stored_bytes: place.stored_bytes - 1, ..place },
        ChunkPlace { id: ChunkId([0; 32]), ..place },
    ] {
        assert!(matches!(opener.open(&wrong, &stored), Err(ArchiveError::DamagedChunk { .. })), "{wrong:?}");
    }
    for outside in [
        ChunkPlace { offset: pack.bytes.len() as u64, ..place },
        ChunkPlace { offset: u64::MAX, ..place },
        ChunkPlace { pack: PackId([0; 32]), ..place },
    ] {
        assert!(matches!(reader.stored(&outside), Err(ArchiveError::DamagedChunk { .. })), "{outside:?}");
    }
}

/// What [`ChunkOpener::open_in_pieces`] hands out.
fn pieces(place: &ChunkPlace, stored: Bytes) -> Result<Vec<Bytes>, ArchiveError> {
    let mut open = ChunkOpener::open_in_pieces(&ChunkCodec::plain(), place, stored, |_| {})?;
    let mut pieces = Vec::new();
    while let Some(piece) = open.next_piece()? {
        pieces.push(piece);
    }
    assert!(open.is_over());
    Ok(pieces)
}

#[test]
fn a_long_chunk_is_verified_and_then_opened_in_pieces() {
    let plain: Vec<u8> = (0..5_000_000_u32)
        .flat_map(|number| (number.wrapping_mul(number) >> 7).to_le_bytes()[..1].to_vec())
        .collect();
    let mut builder = PackBuilder::new(PackKind::Data);
    let entry = builder.add(&ChunkSealer::new(1).unwrap().seal(&plain).unwrap());
    let place = entry.place(builder.finish().id);
    let stored = ChunkSealer::new(1).unwrap().seal(&plain).unwrap().stored;
    let opened = pieces(&place, stored.clone()).unwrap();
    assert!(opened.iter().all(|piece| piece.len() <= 1 << 20));
    assert_eq!(opened.concat(), plain);
    for at in (0..stored.len()).step_by(stored.len() / 50) {
        let mut flipped = stored.to_vec();
        flipped[at] ^= 1 << (at % 8);
        match pieces(&place, flipped.into()) {
            Ok(opened) => assert!(opened.concat() == plain, "{at}"),
            Err(error) => assert!(matches!(error, ArchiveError::DamagedChunk { .. }), "{at}: {error}"),
        }
    }
    for wrong in [
        ChunkPlace { plain_bytes: place.plain_bytes + 1, ..place },
        ChunkPlace { stored_bytes: place.stored_bytes - 1, ..place },
        ChunkPlace { id: ChunkId([0; 32]), ..place },
    ] {
        assert!(
            matches!(pieces(&wrong, stored.clone()), Err(ArchiveError::DamagedChunk { .. })),
            "{wrong:?}"
        );
    }
    let longer = [&stored[..], b"more"].concat();
    let place = ChunkPlace { stored_bytes: longer.len() as u64, ..place };
    assert!(matches!(pieces(&place, longer.into()), Err(ArchiveError::DamagedChunk { .. })));
}
