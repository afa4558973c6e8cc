//! Backups written by every released version of the format can be read for ever.
//!
//! `tests/golden/v<N>/` holds one object per file: `/` in keys is `+` in file names; packs, and what is encrypted, are
//! hex. `identity.txt` is the private key that opens an encrypted one. With `DBHAUL_WRITE_GOLDEN=<directory>` the test
//! writes today's fixture there, plain and encrypted, to start a new version.

use std::fs;
use std::path::{Path, PathBuf};

use dbhaul_archive::{
    ChunkCodec, Generation, Holder, Keyring, ReaderKeys, Secret, WriterKey, generate_identity, keys,
};
use ulid::Ulid;

use crate::fixture::{Backup, Objects, backup, backup_with, expected, read, read_with};

/// The key of the only manifest in each golden backup.
const MANIFEST: &str = "backups/film%2Frental/20260131T020304Z-01KG8WM7FQ000000000000001A";

const IDENTITY: &str = "identity.txt";
const WRITER_KEY: &str = "writer-key.json";

fn write(directory: &Path, objects: &Objects) {
    fs::create_dir_all(directory).unwrap();
    for (key, bytes) in objects {
        let text = if is_text(bytes) { bytes.to_vec() } else { hex_lines(bytes) };
        fs::write(directory.join(key.replace('/', "+")), text).unwrap();
    }
}

/// What a store with this backup holds beside it if it is encrypted, and what its people hold.
fn write_encrypted(directory: &Path) {
    let store = backup().manifest.repo;
    let generation = Generation::generate(Ulid::from_parts(1_769_824_984_001, 2), store, None).unwrap();
    let (secret, recipient) = generate_identity();
    let Backup { mut objects, .. } = backup_with(&ChunkCodec::of(&generation));
    let (key, wrapped) = generation.wrap(&Holder::Recipient(recipient)).unwrap();
    objects.insert(key, wrapped.into());
    let keyring = Keyring::chained(store, vec![generation], None).unwrap();
    write(directory, &objects);
    fs::write(directory.join(IDENTITY), secret.expose()).unwrap();
    let writer = keyring.writer_key().unwrap().to_text().unwrap();
    fs::write(directory.join(WRITER_KEY), writer.expose()).unwrap();
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

fn hex_lines(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(48).flat_map(|line| (hex::encode(line) + "\n").into_bytes()).collect()
}

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version)
}

fn load(directory: &Path) -> Objects {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap());
    let objects = files.map(|file| {
        let key = file.file_name().into_string().unwrap().replace('+', "/");
        let bytes = fs::read(file.path()).unwrap();
        let is_hex = bytes.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'\n');
        let bytes = if is_hex {
            hex::decode(String::from_utf8(bytes).unwrap().replace('\n', "")).unwrap()
        } else {
            bytes
        };
        (key, bytes.into())
    });
    objects.collect()
}

#[test]
fn every_version_reads() {
    if let Some(directory) = std::env::var_os("DBHAUL_WRITE_GOLDEN") {
        write(&Path::new(&directory).join("plain"), &backup().objects);
        write_encrypted(&Path::new(&directory).join("encrypted"));
    }
    for version in ["v1", "v2"] {
        let objects = load(&golden(version));
        assert_eq!(objects.len(), 4);
        assert_eq!(read(&objects, MANIFEST).unwrap(), expected(), "{version}");
    }
}

#[test]
fn an_encrypted_backup_reads_with_its_keys() {
    let mut objects = load(&golden("v2-encrypted"));
    let mut text =
        |name: &str| Secret::new(String::from_utf8(objects.remove(name).unwrap().to_vec()).unwrap());
    let (identity, writer) = (text(IDENTITY), WriterKey::parse(&text(WRITER_KEY)).unwrap());
    let mut reader = ReaderKeys::default();
    reader.add_identities(&identity).unwrap();
    let wrapped = objects.iter().filter(|(key, _)| key.starts_with(keys::KEYS));
    let generations = wrapped.map(|(key, bytes)| {
        let (id, holder) = keys::parse_wrapped_key(key).unwrap();
        Generation::unwrap((id, &holder), bytes, &reader).unwrap()
    });
    let keyring =
        Keyring::chained(writer.store(), generations.collect(), Some(writer.fingerprint())).unwrap();
    assert_eq!(read_with(&objects, MANIFEST, &keyring).unwrap(), expected());
    assert!(read_with(&objects, MANIFEST, &Keyring::of_writer(&writer)).is_err());
}
