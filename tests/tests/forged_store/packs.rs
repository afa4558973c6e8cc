use super::*;

cases! { are_found_out:
    an_index_with_a_gap,
    an_index_that_does_not_fill_its_pack,
    an_index_of_more_chunks_than_fit,
    bytes_behind_the_trailer,
    a_pack_of_rows_that_says_it_holds_metadata,
    a_pack_of_rows_of_a_kind_to_come,
    a_pack_of_rows_that_is_said_to_be_encrypted,
    bytes_before_the_header,
}

/// Changes the bytes of the pack that a table's rows lie in, and names it anew.
fn with_other_pack(parts: &mut Parts, change: impl FnOnce(&mut Vec<u8>)) {
    let old = parts.chunks("sale")[0].place.pack;
    let mut bytes = std::fs::read(parts.path(old)).unwrap();
    change(&mut bytes);
    let id = PackId::of(&bytes);
    parts.write_pack(id, &bytes);
    for pack in &mut parts.manifest.packs {
        if pack.id == old {
            (pack.id, pack.bytes) = (id, bytes.len() as u64);
        }
    }
    for chunk in parts.lists.iter_mut().flatten().flat_map(|segment| &mut segment.chunks) {
        if chunk.place.pack == old {
            chunk.place.pack = id;
        }
    }
}

/// Makes the hash of the index fit its bytes again.
fn seal_index(bytes: &mut [u8]) {
    let end = bytes.len() - 48;
    let count = u32::from_le_bytes(bytes[end + 32..end + 36].try_into().unwrap()) as usize;
    let hash = blake3::hash(&bytes[end - 56 * count..end]);
    bytes[end..end + 32].copy_from_slice(hash.as_bytes());
}

fn an_index_with_a_gap() {
    let forge = |parts: &mut Parts| {
        with_other_pack(parts, |bytes| {
            // the offset of the last entry
            let at = bytes.len() - 48 - 24;
            bytes[at] ^= 1;
            seal_index(bytes);
        });
    };
    check("index_gap", forge, nothing, &["does not start at offset"]);
}

fn an_index_that_does_not_fill_its_pack() {
    let forge = |parts: &mut Parts| {
        with_other_pack(parts, |bytes| {
            let at = bytes.len() - 48 - 16;
            bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
            seal_index(bytes);
        });
    };
    check("index_fill", forge, nothing, &["its chunks do not fill it"]);
}

fn an_index_of_more_chunks_than_fit() {
    let forge = |parts: &mut Parts| {
        with_other_pack(parts, |bytes| {
            let at = bytes.len() - 16;
            bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        });
    };
    check("index_count", forge, nothing, &["its index claims 4294967295 chunks"]);
}

fn bytes_behind_the_trailer() {
    let forge = |parts: &mut Parts| with_other_pack(parts, |bytes| bytes.extend_from_slice(b"more"));
    check("behind", forge, nothing, &["does not end as a pack ends"]);
}

/// Changes one byte of the header: the version is in the 17th and 18th, the cipher in the 19th, the kind in the 20th.
fn with_header_byte(db: &str, at: usize, value: u8, words: &[&str]) {
    let forge = |parts: &mut Parts| with_other_pack(parts, |bytes| bytes[at] = value);
    check(db, forge, nothing, words);
}

fn a_pack_of_rows_that_says_it_holds_metadata() {
    with_header_byte("header_kind", 19, 1, &["is a pack of metadata, where the manifest says one of rows"]);
}

fn a_pack_of_rows_of_a_kind_to_come() {
    with_header_byte("header_kind_2", 19, 2, &["kind 2"]);
}

fn a_pack_of_rows_that_is_said_to_be_encrypted() {
    with_header_byte("header_cipher", 18, 1, &["cipher 1"]);
}

fn bytes_before_the_header() {
    with_header_byte("header_magic", 8, b'X', &["does not start as a pack starts"]);
}
