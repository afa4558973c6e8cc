//! What only the rows themselves tell: it is found where they are read, and named.

use super::*;

cases! { are_found_out:
    digests_of_other_rows,
    counts_of_other_rows,
    chunks_whose_rows_are_swapped,
    rows_of_another_table,
    rows_without_their_fields,
    rows_that_do_not_end,
    rows_that_a_server_reads_otherwise,
}

/// Digests that add up everywhere, of rows that are not there.
fn forged(db: &str, forge: impl FnOnce(&mut Parts), words: &[&str]) {
    let mut parts = origin().take_apart();
    forge(&mut parts);
    let store = parts.seal(nothing);
    let origin = origin();
    let server = &origin.server;
    server.create_db(db);
    for (name, run) in read_all(&store, &server.uri(db)) {
        if name == "show" {
            assert_eq!(run.code, Some(0), "it reads no rows: {}", run.stderr);
            continue;
        }
        assert_eq!(run.code, Some(1), "{name}: {}{}", run.stdout, run.stderr);
        let told = run.stdout + &run.stderr;
        let told: String = told.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(told.contains(word), "{name}: {word:?} is not in: {told}");
        }
    }
    server.drop_db(db);
}

fn digests_of_other_rows() {
    let forge = |parts: &mut Parts| parts.chunks("note")[0].digest.sum += 1;
    forged("other_digest", forge, &["public.note", "have the digest"]);
}

fn counts_of_other_rows() {
    let forge = |parts: &mut Parts| parts.chunks("note")[0].digest.row_count += 1;
    forged("other_count", forge, &["public.note", "have the digest"]);
}

fn chunks_whose_rows_are_swapped() {
    let forge = |parts: &mut Parts| {
        let chunks = parts.chunks("log");
        let digest = chunks[0].digest;
        chunks[0].digest = chunks[1].digest;
        chunks[1].digest = digest;
    };
    forged("swapped_digests", forge, &["public.log", "have the digest"]);
}

fn rows_of_another_table() {
    let forge = |parts: &mut Parts| {
        let other = parts.chunks("sale")[0];
        parts.chunks("note")[0].place = other.place;
    };
    forged("other_rows", forge, &["public.note"]);
}

fn rows_without_their_fields() {
    let forge = |parts: &mut Parts| {
        let place = parts.add_rows(PackKind::Data, "only one\n");
        parts.chunks("note")[0].place = place;
    };
    forged("fields", forge, &["public.note", "1 field where 2 columns are expected"]);
}

fn rows_that_do_not_end() {
    let forge = |parts: &mut Parts| {
        let place = parts.add_rows(PackKind::Data, "only one\t1");
        parts.chunks("note")[0].place = place;
    };
    forged("unterminated", forge, &["public.note", "ends inside row"]);
}

/// A server takes a bare carriage return for the end of a row, and `\\.` for the end of them all.
fn rows_that_a_server_reads_otherwise() {
    for (text, what) in [
        ("only\rone\t1\n", "a bare carriage return"),
        ("only one\t1\n\\.\n", "an end mark"),
        ("\\.\n", "an end mark"),
    ] {
        let forge = |parts: &mut Parts| {
            let place = parts.add_rows(PackKind::Data, text);
            parts.chunks("note")[0].place = place;
        };
        forged("read_otherwise", forge, &["public.note", what]);
    }
}
