//! Backups written by every released version of the format can be read for ever.
//!
//! `tests/golden/v<N>/` holds one object per file: `/` in keys is `+` in file names; packs are hex.
//! With `DBHAUL_WRITE_GOLDEN=<directory>` the test writes today's fixture there, to start a new version.

use std::fs;
use std::path::Path;

use crate::fixture::{Objects, backup, expected, read};

/// The key of the only manifest in each golden backup.
const MANIFEST: &str = "backups/film%2Frental/20260131T020304Z-01KG8WM7FQ000000000000001A";

fn write(directory: &Path) {
    for (key, bytes) in backup().objects {
        let text = if key.starts_with("packs/") { hex_lines(&bytes) } else { bytes.to_vec() };
        fs::write(directory.join(key.replace('/', "+")), text).unwrap();
    }
}

fn hex_lines(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(48).flat_map(|line| (hex::encode(line) + "\n").into_bytes()).collect()
}

fn load(directory: &Path) -> Objects {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap());
    let objects = files.map(|file| {
        let key = file.file_name().into_string().unwrap().replace('+', "/");
        let bytes = fs::read(file.path()).unwrap();
        let pack = key.starts_with("packs/");
        let bytes = if pack {
            hex::decode(String::from_utf8(bytes).unwrap().replace('\n', "")).unwrap()
        } else {
            bytes
        };
        (key, bytes.into())
    });
    objects.collect()
}

#[test]
fn version_1_reads() {
    if let Some(directory) = std::env::var_os("DBHAUL_WRITE_GOLDEN") {
        write(Path::new(&directory));
    }
    let objects = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1"));
    assert_eq!(objects.len(), 4);
    assert_eq!(read(&objects, MANIFEST).unwrap(), expected());
}
