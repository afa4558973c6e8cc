use super::*;

cases! { are_found_out:
    two_offsets_are_swapped,
    two_chunks_have_each_others_names,
    a_chunk_is_listed_twice,
    a_chunk_stands_in_the_place_of_another,
    the_same_rows_lie_in_two_packs,
    a_place_is_outside_its_pack,
    a_place_ends_beyond_all_numbers,
    a_size_is_another,
    a_pack_is_nowhere,
    a_pack_is_listed_and_not_there,
    rows_lie_in_a_pack_of_metadata,
    a_chunk_has_more_rows_than_bytes,
    the_same_rows_twice_are_no_forgery_where_nothing_forbids_them,
}

fn two_offsets_are_swapped() {
    let forge = |parts: &mut Parts| {
        let chunks = parts.chunks("sale");
        let offset = chunks[0].place.offset;
        chunks[0].place.offset = chunks[1].place.offset;
        chunks[1].place.offset = offset;
    };
    check("swapped", forge, nothing, &["the index of the pack has chunk"]);
}

fn two_chunks_have_each_others_names() {
    let forge = |parts: &mut Parts| {
        let chunks = parts.chunks("log");
        let id = chunks[0].place.id;
        chunks[0].place.id = chunks[1].place.id;
        chunks[1].place.id = id;
    };
    check("names", forge, nothing, &["the index of the pack has chunk"]);
}

fn a_chunk_is_listed_twice() {
    let forge = |parts: &mut Parts| {
        let chunks = parts.chunks("sale");
        chunks.push(chunks[0]);
    };
    check("twice", forge, nothing, &["public.sale", "twice", "primary key"]);
}

fn a_chunk_stands_in_the_place_of_another() {
    let forge = |parts: &mut Parts| {
        let chunks = parts.chunks("sale");
        chunks[1] = chunks[0];
    };
    check("instead", forge, nothing, &["public.sale", "twice"]);
}

fn the_same_rows_lie_in_two_packs() {
    let forge = |parts: &mut Parts| {
        let rows = "1\tone\n";
        let digest: RowDigest = "1:1".parse().unwrap();
        let place = parts.add_rows(PackKind::Data, rows);
        let other = parts.add_rows(PackKind::Data, rows);
        assert_eq!(place, other, "a pack is named by its bytes");
        let chunks = parts.chunks("sale");
        chunks.extend([RowChunk { place, digest }; 2]);
    };
    check(
        "two_packs",
        forge,
        |manifest| {
            let packs = manifest["packs"].as_array_mut().unwrap();
            packs.sort_by_key(|pack| pack["id"].as_str().unwrap().to_owned());
            packs.dedup();
            add_up(manifest);
        },
        &["public.sale", "twice"],
    );
}

fn a_place_is_outside_its_pack() {
    let forge = |parts: &mut Parts| parts.chunks("log")[0].place.offset = 1 << 40;
    check("outside", forge, nothing, &["the index of the pack has no chunk there"]);
}

fn a_place_ends_beyond_all_numbers() {
    let forge = |parts: &mut Parts| {
        let place = &mut parts.chunks("log")[0].place;
        place.offset = u64::MAX - 1;
    };
    check("beyond", forge, nothing, &["the index of the pack has no chunk there"]);
    let forge = |parts: &mut Parts| parts.chunks("log")[0].place.stored_bytes = u64::MAX / 4;
    check("beyond_plain", forge, nothing, &["public.log", "takes 4611686018427387903 bytes for"]);
}

fn a_size_is_another() {
    let forge = |parts: &mut Parts| parts.chunks("log")[0].place.plain_bytes += 1;
    check("size", forge, nothing, &["the index of the pack has chunk"]);
}

fn a_pack_is_nowhere() {
    let forge = |parts: &mut Parts| parts.chunks("log")[0].place.pack = PackId([7; 32]);
    check("nowhere", forge, nothing, &["public.log", "which the manifest does not list"]);
}

fn a_pack_is_listed_and_not_there() {
    let forge = |parts: &mut Parts| {
        let pack = parts.chunks("log")[0].place.pack;
        std::fs::remove_file(parts.path(pack)).unwrap();
    };
    check("not_there", forge, nothing, &["is missing from the store"]);
}

fn rows_lie_in_a_pack_of_metadata() {
    let forge = |parts: &mut Parts| {
        let place = parts.add_rows(PackKind::Meta, "only one\t1\n");
        parts.chunks("note")[0].place = place;
    };
    // which stays, beside the new ones
    let keep = |parts: &mut Parts| {
        forge(parts);
        let pack = parts.manifest.packs.last_mut().unwrap();
        pack.kind = PackKind::Data;
    };
    check(
        "rows_in_meta",
        keep,
        |manifest| {
            let packs = manifest["packs"].as_array_mut().unwrap();
            let last = packs.len() - 3;
            packs[last]["kind"] = json!("meta");
        },
        &["public.note", "which is of metadata"],
    );
}

fn a_chunk_has_more_rows_than_bytes() {
    let forge = |parts: &mut Parts| parts.chunks("note")[0].digest.row_count = 1 << 50;
    check(
        "more_rows",
        forge,
        |manifest| {
            for table in manifest["tables"].as_array_mut().unwrap() {
                if table["name"] == "note" {
                    table["plain_bytes"] = json!(1_u64 << 51);
                }
            }
            add_up(manifest);
        },
        &["public.note"],
    );
}

/// Chunks of a table without a key may have the same rows.
fn the_same_rows_twice_are_no_forgery_where_nothing_forbids_them() {
    let origin = origin();
    let server = &origin.server;
    server.create_db("repeated");
    server.psql("repeated", "CREATE TABLE t AS SELECT 'x'::text FROM generate_series(1, 300000)");
    server.create_db("repeated_copy");
    let store = TempDir::new().unwrap();
    let place = store.path().to_str().unwrap();
    let (from, to) = (server.uri("repeated"), server.uri("repeated_copy"));
    Dbhaul::new(["dump", "--source", &from, "--store", place]).run().assert_code(0);
    Dbhaul::new(["restore", "--target", &to, "--store", place]).run().assert_code(0);
    Dbhaul::new(["verify", "--target", &to, "--store", place]).run().assert_code(0);
}
