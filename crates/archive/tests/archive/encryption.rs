//! Encrypted backups: who can read them, and what is made of those that somebody else has touched.

use bytes::Bytes;
use dbhaul_archive::*;
use proptest::prelude::*;
use ulid::Ulid;

use crate::fixture::{Backup, Objects, backup, backup_with, expected, read_with};

/// The store of the fixture.
const STORE: Ulid = Ulid::from_parts(1_769_824_984_000, 1);

fn id(number: u128) -> Ulid {
    Ulid::from_parts(1_769_824_985_000 + number as u64, number)
}

fn first() -> Generation {
    Generation::generate(id(1), STORE, None).unwrap()
}

fn keyring(generations: &[&Generation]) -> Keyring {
    Keyring::chained(STORE, generations.iter().map(|one| (*one).clone()).collect(), None).unwrap()
}

/// A private key, and whom it is wrapped to.
fn person() -> (ReaderKeys, Holder) {
    let (secret, recipient) = generate_identity();
    let mut keys = ReaderKeys::default();
    keys.add_identities(&Secret::new(format!("# me\n\n{}\n", secret.expose()))).unwrap();
    (keys, Holder::Recipient(recipient))
}

fn unwrapped(generation: &Generation, holder: &Holder, reader: &ReaderKeys) -> Result<Generation, KeyError> {
    let (key, bytes) = generation.wrap(holder).unwrap();
    let (id, name) = keys::parse_wrapped_key(&key).unwrap();
    Generation::unwrap((id, &name), &bytes, reader)
}

fn encrypted() -> (Generation, Backup) {
    let generation = first();
    let backup = backup_with(&ChunkCodec::of(&generation));
    (generation, backup)
}

fn key_of(backup: &Backup) -> String {
    backup.manifest.key().to_string()
}

fn summary(pack: &SealedPack) -> PackSummary {
    PackSummary { id: pack.id, bytes: pack.bytes.len() as u64, kind: pack.kind }
}

/// The error of reading with these objects in the place of those that were written.
fn error_with(backup: &Backup, keys: &Keyring, changes: &[(String, Bytes)]) -> ArchiveError {
    let mut objects: Objects = backup.objects.clone();
    objects.extend(changes.iter().cloned());
    read_with(&objects, &key_of(backup), keys).unwrap_err()
}

#[test]
fn who_holds_the_private_key_reads_and_who_writes_reads_no_rows() {
    let (generation, backup) = encrypted();
    let (reader, holder) = person();
    let opened = unwrapped(&generation, &holder, &reader).unwrap();
    let keys = Keyring::chained(STORE, vec![opened], Some(generation.fingerprint())).unwrap();
    assert_eq!(read_with(&backup.objects, &key_of(&backup), &keys).unwrap(), expected());

    let text = keys.writer_key().unwrap().to_text().unwrap();
    let writer = WriterKey::parse(&text).unwrap();
    assert_eq!((writer.store(), writer.fingerprint()), (STORE, generation.fingerprint()));
    let writer = Keyring::of_writer(&writer);
    let codec = writer.codec(Some(generation.id())).unwrap();
    assert!(codec.opens(PackKind::Meta) && !codec.opens(PackKind::Data));
    let meta = codec.open_pack(&summary(&backup.meta_pack), backup.meta_pack.bytes.clone()).unwrap();
    assert_eq!(meta.entries(), backup.meta_pack.entries);
    let refused = read_with(&backup.objects, &key_of(&backup), &writer).unwrap_err();
    assert!(matches!(refused, ArchiveError::NoKey { key: "data", .. }), "{refused}");
    // what a writer writes, the private key reads
    let written = backup_with(&codec);
    assert_eq!(read_with(&written.objects, &key_of(&written), &keys).unwrap(), expected());
    // the same rows have the same identity, which only the key makes
    assert_eq!(written.data_pack.entries, backup.data_pack.entries);
    assert_ne!(written.data_pack.entries[0].chunk, crate::fixture::backup().data_pack.entries[0].chunk);
}

#[test]
fn keys_that_are_not_the_right_ones_are_named() {
    let (generation, backup) = encrypted();
    let (reader, holder) = person();
    let (other, _) = person();
    assert!(matches!(unwrapped(&generation, &holder, &other), Err(KeyError::Unwrap { .. })));
    let stored = generation.wrap(&holder).unwrap().1;
    let name = holder.name();
    // under the name of another generation, or cut off
    let moved = Generation::unwrap((id(9), &name), &stored, &reader).unwrap_err();
    assert!(
        matches!(&moved, KeyError::Generation { key, .. } if key.contains(&id(9).to_string())),
        "{moved}"
    );
    for end in [0, 30, stored.len() / 2, stored.len() - 1] {
        let cut = Generation::unwrap((id(1), &name), &stored[..end], &reader).unwrap_err();
        assert!(matches!(cut, KeyError::Unwrap { .. }), "{end}: {cut}");
    }
    let mut asked = ReaderKeys::default();
    asked.set_passphrase(Secret::new("correct horse".to_owned()));
    let spoken = Holder::Passphrase(Secret::new("correct horse".to_owned()));
    assert_eq!(unwrapped(&generation, &spoken, &asked).unwrap().fingerprint(), generation.fingerprint());
    asked.set_passphrase(Secret::new("wrong horse".to_owned()));
    assert!(matches!(unwrapped(&generation, &spoken, &asked), Err(KeyError::Unwrap { .. })));

    let stranger = Generation::generate(id(2), STORE, None).unwrap();
    let refused = read_with(&backup.objects, &key_of(&backup), &keyring(&[&stranger])).unwrap_err();
    let is_named =
        matches!(refused, ArchiveError::NoKey { key: "metadata", generation, .. } if generation == id(1));
    assert!(is_named, "{refused}");
}

#[test]
fn what_somebody_without_the_key_has_put_there_is_refused() {
    let (generation, backup) = encrypted();
    let (keys, key) = (keyring(&[&generation]), key_of(&backup));
    // a plain manifest, one of the same generation with other keys, and one of another name
    let impostor = Generation::generate(id(1), STORE, None).unwrap();
    let forged = backup_with(&ChunkCodec::of(&impostor));
    let mut renamed = backup.manifest.clone();
    renamed.source.database = "other".to_owned();
    let renamed = renamed.seal(&ChunkCodec::of(&generation)).unwrap();
    for manifest in [crate::fixture::backup().objects[&key].clone(), forged.objects[&key].clone(), renamed] {
        let refused = error_with(&backup, &keys, &[(key.clone(), manifest)]);
        assert!(
            matches!(&refused, ArchiveError::ForgedManifest { key: found, .. } if *found == key),
            "{refused}"
        );
    }
    // an encrypted one in a store that is not
    let refused = read_with(&backup.objects, &key, &Keyring::plain()).unwrap_err();
    assert!(matches!(refused, ArchiveError::DamagedManifest { .. }), "{refused}");
    // packs under each other's names, and one of another store, whatever the name
    let (data, meta) = (&backup.data_pack, &backup.meta_pack);
    let swapped = [(data.key(), meta.bytes.clone()), (meta.key(), data.bytes.clone())];
    for change in &swapped {
        let mut objects = backup.objects.clone();
        objects.insert(change.0.clone(), change.1.clone());
        let refused = read_with(&objects, &key, &keys).unwrap_err();
        assert!(
            matches!(refused, ArchiveError::PackSize { .. } | ArchiveError::DamagedPack { .. }),
            "{refused}"
        );
    }
    let codec = ChunkCodec::of(&generation);
    for foreign in [&forged.data_pack, &forged.meta_pack, &crate::fixture::backup().data_pack] {
        let refused = codec.open_pack(&summary(foreign), foreign.bytes.clone()).unwrap_err();
        assert!(matches!(refused, ArchiveError::DamagedPack { pack, .. } if pack == foreign.id), "{refused}");
    }
    // rows where metadata should be
    let as_meta = PackSummary { kind: PackKind::Meta, ..summary(data) };
    assert!(matches!(codec.open_pack(&as_meta, data.bytes.clone()), Err(ArchiveError::DamagedPack { .. })));
}

#[test]
fn each_damaged_byte_and_each_missing_one_is_found() {
    let (generation, backup) = encrypted();
    let (keys, key, codec) = (keyring(&[&generation]), key_of(&backup), ChunkCodec::of(&generation));
    let manifest = &backup.objects[&key];
    for at in 0..manifest.len() {
        let mut bytes = manifest.to_vec();
        bytes[at] ^= 0x11;
        for damaged in [bytes, manifest[..at].to_vec()] {
            let found = Manifest::open(&key, &damaged, &keys).unwrap_err();
            let is_named = matches!(&found,
                ArchiveError::ForgedManifest { key: named, .. } if *named == key)
                || matches!(found, ArchiveError::NoKey { .. });
            assert!(is_named, "{at}: {found}");
        }
    }
    let pack = &backup.data_pack;
    for at in (0..pack.bytes.len()).step_by(7) {
        let mut bytes = pack.bytes.to_vec();
        bytes[at] ^= 0x11;
        for damaged in [bytes, pack.bytes[..at].to_vec()] {
            // even if it were named by the hash of what it is now
            let damaged =
                SealedPack { id: PackId::of(&damaged), bytes: Bytes::from(damaged), ..pack.clone() };
            let found = codec.open_pack(&summary(&damaged), damaged.bytes.clone());
            assert!(
                matches!(found, Err(ArchiveError::DamagedPack { pack, .. }) if pack == damaged.id),
                "{at}"
            );
        }
    }
}

#[test]
fn parts_of_a_long_pack_are_read_without_the_rest() {
    let codec = ChunkCodec::of(&first());
    let mut random = 1_u64;
    for chunks in [0, 1, 2, 3, 7] {
        let mut builder = PackBuilder::new(PackKind::Data);
        let mut sealer = codec.sealer(1).unwrap();
        for _ in 0..chunks {
            let length = 50_000 + (random % 50_000) as usize;
            let noise = std::iter::repeat_with(|| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 33) as u8
            });
            builder.add(&sealer.seal(&noise.take(length).collect::<Vec<_>>()).unwrap());
        }
        let sealed = codec.seal_pack(builder).unwrap();
        let pack = summary(&sealed);
        let stored =
            |range: std::ops::Range<u64>| sealed.bytes.slice(range.start as usize..range.end as usize);
        let whole = codec.open_pack(&pack, sealed.bytes.clone()).unwrap();
        let open = |range: std::ops::Range<u64>| {
            let (head, body) = (codec.head(&pack).unwrap(), codec.stored_range(&pack, &range));
            assert!(body.end - body.start <= range.end - range.start + (128 << 10) + 2048);
            codec.open_range(&pack, stored(head), stored(body), range)
        };
        let places: Vec<ChunkPlace> = sealed.places().collect();
        for (from, to) in (0..chunks).flat_map(|from| (from..chunks).map(move |to| (from, to))) {
            let range = places[from].offset..places[to].range().end;
            let expected: Vec<Bytes> =
                places[from..=to].iter().map(|place| whole.stored(place).unwrap()).collect();
            assert_eq!(open(range).unwrap(), expected.concat());
        }
        for tail_bytes in [100, FIRST_TAIL_BYTES, 4 * FIRST_TAIL_BYTES] {
            let ends = codec.ends(&pack, tail_bytes).map(stored);
            match codec.open_index(&pack, ends, tail_bytes).unwrap() {
                Ok(index) => assert_eq!(&index, whole.index()),
                Err(wanted) => assert!(tail_bytes == 100 && wanted > 100),
            }
        }
        // block boundaries, and places behind the end
        let plain_bytes = places.last().map_or(24, |last| last.range().end) + 56 * (chunks as u64 + 1);
        for block in (0..plain_bytes).step_by(64 << 10) {
            let opened = open(block..(block + (64 << 10)).min(plain_bytes)).unwrap();
            assert!(!opened.is_empty());
        }
        for beyond in [plain_bytes..plain_bytes + 1, plain_bytes - 1..plain_bytes + 70_000, 1 << 40..1 << 41]
        {
            assert!(matches!(open(beyond), Err(ArchiveError::DamagedPack { .. })));
        }
        // blocks in each other's places
        if pack.bytes > 200_000 {
            let mut bytes = sealed.bytes.to_vec();
            let (one, two) = bytes[1024..].split_at_mut(65_552);
            one.swap_with_slice(&mut two[..65_552]);
            let swapped = PackSummary { id: PackId::of(&bytes), ..pack };
            let refused = codec.open_pack(&swapped, bytes.into()).unwrap_err();
            assert!(matches!(refused, ArchiveError::DamagedPack { .. }), "{refused}");
        }
        // a store that returns other bytes
        if let Some(place) = places.last() {
            let mut body = stored(codec.stored_range(&pack, &place.range())).to_vec();
            let middle = body.len() / 2;
            body[middle] ^= 1;
            let opened = codec.open_range(&pack, stored(0..1024), body.into(), place.range());
            assert!(matches!(opened, Err(ArchiveError::DamagedPack { .. })));
        }
    }
}

#[test]
fn generations_follow_from_one_first_generation_or_are_refused() {
    let one = first();
    let two = Generation::generate(id(2), STORE, Some(&one)).unwrap();
    let three = Generation::generate(id(3), STORE, Some(&two)).unwrap();
    let chained = |generations: &[&Generation]| {
        Keyring::chained(STORE, generations.iter().map(|one| (*one).clone()).collect(), None)
    };
    let keys = chained(&[&three, &one, &two, &two]).unwrap();
    assert_eq!(keys.current().unwrap().id(), id(3));
    assert_eq!(keys.fingerprint(), Some(one.fingerprint()));
    // who writes cannot rotate: the seal is made with the data key
    let writer = Keyring::of_writer(&keys.writer_key().unwrap());
    let refused = Generation::generate(id(4), STORE, writer.current()).unwrap_err();
    assert!(matches!(refused, KeyError::NoDataKey { .. }), "{refused}");

    let root = Generation::generate(id(4), STORE, None).unwrap();
    let stranger = Generation::generate(id(5), STORE, Some(&root)).unwrap();
    let impostor = Generation::generate(id(1), STORE, None).unwrap();
    // of the impostor's, and so not sealed by the real first generation
    let after_impostor = Generation::generate(id(7), STORE, Some(&impostor)).unwrap();
    for (generations, named) in [
        (vec![&one, &root], id(4)),
        (vec![&one, &stranger], id(5)),
        (vec![&one, &three], id(3)),
        (vec![&two], id(2)),
        (vec![&one, &impostor], id(1)),
        (vec![&one, &after_impostor], id(7)),
    ] {
        let refused = chained(&generations).unwrap_err();
        assert!(matches!(refused, KeyError::Unchained { .. }), "{refused}");
        assert!(refused.to_string().contains(&named.to_string()), "{refused}");
    }
    let refused = Keyring::chained(STORE, vec![impostor], Some(one.fingerprint())).unwrap_err();
    assert!(matches!(refused, KeyError::WrongFingerprint { .. }), "{refused}");
    let refused = Keyring::chained(Ulid(7), vec![one], None).unwrap_err();
    assert!(matches!(refused, KeyError::OtherStore { .. }), "{refused}");
}

/// Two rotations at the same time: both generations were made by who can read the store, and neither is the newest.
#[test]
fn generations_that_follow_the_same_one_are_read_and_not_written_with() {
    let one = first();
    let [two, other] = [2, 3].map(|number| Generation::generate(id(number), STORE, Some(&one)).unwrap());
    let after = Generation::generate(id(4), STORE, Some(&other)).unwrap();
    let keys = keyring(&[&after, &two, &one, &other]);
    assert_eq!(keys.forks().iter().copied().collect::<Vec<_>>(), [id(2), id(3)]);
    for generation in [&one, &two, &other, &after] {
        assert!(keys.codec(Some(generation.id())).is_some(), "{generation:?}");
        assert_eq!(keys.is_followed(generation.id()), [id(1), id(3)].contains(&generation.id()));
    }
    assert_eq!(keys.fingerprint(), Some(one.fingerprint()));
    assert_eq!(keys.writer_key().unwrap_err(), KeyError::Forked { generations: vec![id(2), id(3)] });
    // without one of the two nothing is left of it
    let keys = keyring(&[&after, &one, &other]);
    assert!(keys.forks().is_empty());
    assert_eq!(keys.writer_key().unwrap().store(), STORE);
}

#[test]
fn nothing_shows_a_secret() {
    let (secret, _) = generate_identity();
    let word = &secret.expose()[20..40].to_owned();
    let mut keys = ReaderKeys::default();
    keys.add_identities(&secret).unwrap();
    keys.set_passphrase(Secret::new(word.clone()));
    let generation = first();
    let writer = keyring(&[&generation]).writer_key().unwrap();
    let text = writer.to_text().unwrap();
    for shown in [
        format!("{secret:?}{keys:?}"),
        format!("{:?}", Holder::Passphrase(Secret::new(word.clone()))),
        format!("{:?}", ReaderKeys::default().add_identities(&Secret::new(format!("{}x", secret.expose())))),
        format!("{:?}", secret.expose().parse::<Recipient>()),
        format!("{:?}", Recipient::parse_file(secret.expose())),
        format!("{:?}", WriterKey::parse(&Secret::new(text.expose().replace("writer-key", "other")))),
        format!("{:?}", WriterKey::parse(&Secret::new(text.expose().replace("AGE-SECRET-KEY-1", "")))),
    ] {
        assert!(!shown.contains(word) && !shown.contains("SECRET-KEY-1Q"), "{shown}");
    }
    let shown = format!("{writer:?}{generation:?}{:?}", ChunkCodec::of(&generation));
    assert!(!shown.contains("SECRET"), "{shown}");
}

proptest! {
    #[test]
    fn texts_that_are_no_keys_are_refused(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = WriterKey::parse(&Secret::new(text.clone()));
        let _ = ReaderKeys::default().add_identities(&Secret::new(text.clone()));
        let _ = keys::parse_wrapped_key(&format!("keys/{text}"));
        let _ = text.parse::<Fingerprint>();
        let generation = first();
        let keys = keyring(&[&generation]);
        prop_assert!(Manifest::open("backups/x", &bytes, &keys).is_err());
        let pack = PackSummary { id: PackId::of(&bytes), bytes: bytes.len() as u64, kind: PackKind::Data };
        let codec = ChunkCodec::of(&generation);
        prop_assert!(codec.open_pack(&pack, bytes.clone().into()).is_err());
        prop_assert!(codec.open_index(&pack, [bytes.clone().into(), bytes.into()], 1 << 20).is_err());
    }
}

#[test]
fn a_plain_backup_is_what_it_was() {
    let plain = backup();
    assert!(plain.manifest.required_features.is_empty() && plain.manifest.generation.is_none());
    assert!(!plain.objects.values().any(|bytes| bytes.starts_with(b"age-encryption.org")));
}
