//! Every object of a backup, damaged in every way, is found out, by name.

use bytes::Bytes;
use dbhaul_archive::{ArchiveError, ChunkId, ChunkOpener, PackId, PackReader};

use crate::fixture::{Objects, backup, expected, read};

#[test]
fn an_undamaged_backup_reads() {
    let backup = backup();
    assert_eq!(read(&backup.objects, &backup.manifest.key().to_string()).unwrap(), expected());
}

/// Reads the backup with one object replaced (or deleted).
fn read_with(key: &str, bytes: Option<Vec<u8>>) -> Result<(), ArchiveError> {
    let backup = backup();
    let mut objects: Objects = backup.objects;
    assert!(objects.remove(key).is_some(), "{key}");
    objects.extend(bytes.map(|bytes| (key.to_owned(), Bytes::from(bytes))));
    read(&objects, &backup.manifest.key().to_string()).map(drop)
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[at] ^= 1 << (at % 8);
    flipped
}

#[test]
fn each_flipped_byte_of_a_pack_is_found() {
    let backup = backup();
    for pack in [&backup.data_pack, &backup.meta_pack] {
        for at in 0..pack.bytes.len() {
            let error = PackReader::open(pack.id, flipped(&pack.bytes, at).into()).unwrap_err();
            assert!(
                matches!(error, ArchiveError::DamagedPack { pack: id, .. } if id == pack.id),
                "{at}: {error}"
            );
        }
        let error = read_with(&pack.key(), Some(flipped(&pack.bytes, 30))).unwrap_err();
        assert!(error.to_string().contains(&pack.id.to_string()), "{error}");
    }
}

#[test]
fn no_flipped_byte_of_a_chunk_alters_its_rows() {
    let backup = backup();
    let mut opener = ChunkOpener::new().unwrap();
    let mut found = 0;
    for place in backup.data_pack.places() {
        for at in place.offset as usize..place.range().end as usize {
            let damaged = flipped(&backup.data_pack.bytes, at);
            let stored = &damaged[place.offset as usize..place.range().end as usize];
            match opener.open(&place, stored) {
                Err(ArchiveError::DamagedChunk { pack, chunk, offset, .. }) => {
                    assert_eq!((pack, chunk, offset), (place.pack, place.id, place.offset));
                    found += 1;
                }
                Err(error) => panic!("{at}: {error}"),
                // A few bits of a zstd frame mean nothing; the rows are the right ones then.
                Ok(rows) => assert_eq!(ChunkId::of(&rows), place.id),
            }
        }
    }
    let chunk_bytes: u64 = backup.data_pack.entries.iter().map(|entry| entry.stored_bytes).sum();
    assert!(found * 100 >= chunk_bytes * 95, "{found} of {chunk_bytes}");
}

#[test]
fn truncated_and_missing_packs_are_found_by_listing() {
    let pack = backup().data_pack;
    let cut = pack.bytes.len() - 1;
    assert_eq!(
        read_with(&pack.key(), Some(pack.bytes[..cut].to_vec())),
        Err(ArchiveError::PackSize {
            pack: pack.id,
            expected_bytes: cut as u64 + 1,
            found_bytes: cut as u64
        })
    );
    assert_eq!(read_with(&pack.key(), None), Err(ArchiveError::MissingPack { pack: pack.id }));
}

#[test]
fn a_pack_truncated_anywhere_does_not_open() {
    let pack = backup().data_pack;
    for end in 0..pack.bytes.len() {
        let bytes = pack.bytes.slice(..end);
        // Even if it were named by the hash of what is left.
        let error = PackReader::open(PackId::of(&bytes), bytes.clone()).unwrap_err();
        assert!(matches!(error, ArchiveError::DamagedPack { .. }), "{end}: {error}");
    }
}

#[test]
fn each_flipped_byte_of_a_manifest_is_found() {
    let backup = backup();
    let key = backup.manifest.key().to_string();
    let bytes = &backup.objects[&key];
    for at in 0..bytes.len() {
        let error = read_with(&key, Some(flipped(bytes, at))).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::DamagedManifest { key: found, .. } if *found == key),
            "{at}: {error}"
        );
    }
}

#[test]
fn a_manifest_truncated_anywhere_is_found() {
    let backup = backup();
    let key = backup.manifest.key().to_string();
    for end in 0..backup.objects[&key].len() {
        let error = read_with(&key, Some(backup.objects[&key][..end].to_vec())).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::DamagedManifest { key: found, .. } if *found == key),
            "{end}: {error}"
        );
    }
    assert!(matches!(read_with(&key, None), Err(ArchiveError::DamagedManifest { .. })));
}

#[test]
fn a_truncated_or_missing_repo_config_is_found() {
    let bytes = backup().objects["repo.json"].clone();
    // The last byte is a line feed, which JSON can do without.
    for end in 0..bytes.len() - 1 {
        let error = read_with("repo.json", Some(bytes[..end].to_vec())).unwrap_err();
        assert!(matches!(error, ArchiveError::DamagedRepoConfig { .. }), "{end}: {error}");
    }
    assert!(matches!(read_with("repo.json", None), Err(ArchiveError::DamagedRepoConfig { .. })));
}
