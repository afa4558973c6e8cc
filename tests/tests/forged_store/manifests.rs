use super::*;

cases! { are_found_out:
    segments_without_number,
    more_segments_or_chunks_than_the_list_has,
    sizes_that_do_not_add_up,
    totals_of_something_else,
    a_table_is_left_out,
    a_table_stands_there_twice,
    a_table_has_the_rows_of_another,
    two_tables_fill_one_entry,
    columns_in_another_order,
    a_pack_is_listed_twice,
    a_pack_has_another_size,
    a_piece_of_two_gigabytes,
    a_piece_that_is_named_twice,
    pieces_and_packs_that_take_more_than_they_can,
    a_piece_outside_its_pack,
    a_document_without_its_bytes,
    positions_of_sequences,
    another_source_than_the_catalogs,
}

fn table<'a>(manifest: &'a mut Value, name: &str) -> &'a mut Value {
    let tables = manifest["tables"].as_array_mut().unwrap();
    tables.iter_mut().find(|table| table["name"] == name).unwrap()
}

fn unchanged(_: &mut Parts) {}

fn segments_without_number() {
    for (db, segments) in [("segments_63", 1_u64 << 63), ("segments_30", 1 << 30)] {
        let change = |manifest: &mut Value| table(manifest, "sale")["segments"] = json!(segments);
        check(db, unchanged, change, &["public.sale", "segments"]);
    }
}

fn more_segments_or_chunks_than_the_list_has() {
    for (db, field) in [("one_segment_more", "segments"), ("one_chunk_more", "chunks")] {
        let change = |manifest: &mut Value| {
            let count = table(manifest, "sale")[field].as_u64().unwrap();
            table(manifest, "sale")[field] = json!(count + 1);
        };
        check(db, unchanged, change, &["public.sale"]);
    }
}

fn sizes_that_do_not_add_up() {
    for (db, field) in [("plain", "plain_bytes"), ("stored", "stored_bytes")] {
        let more = |manifest: &mut Value| {
            let bytes = table(manifest, "sale")[field].as_u64().unwrap();
            table(manifest, "sale")[field] = json!(bytes + 1);
            add_up(manifest);
        };
        check(db, unchanged, more, &["public.sale", "adds up to"]);
        let all = |manifest: &mut Value| {
            table(manifest, "sale")[field] = json!(u64::MAX);
            table(manifest, "log")[field] = json!(u64::MAX);
            add_up(manifest);
        };
        check(&format!("{db}_all"), unchanged, all, &["larger than can be counted"]);
    }
}

fn totals_of_something_else() {
    check("totals", unchanged, |manifest| manifest["totals"]["tables"] = json!(1), &["its totals are"]);
}

fn a_table_is_left_out() {
    let change = |manifest: &mut Value| {
        manifest["tables"].as_array_mut().unwrap().retain(|table| table["name"] != "note");
        add_up(manifest);
    };
    check("left_out", unchanged, change, &["it lacks the rows of table public.note"]);
}

fn a_table_stands_there_twice() {
    let change = |manifest: &mut Value| {
        let twice = table(manifest, "note").clone();
        manifest["tables"].as_array_mut().unwrap().push(twice);
        add_up(manifest);
    };
    check("there_twice", unchanged, change, &["two entries of table public.note"]);
}

/// The rows of one table under the name of another.
fn a_table_has_the_rows_of_another() {
    let change = |manifest: &mut Value| {
        let other = table(manifest, "log").clone();
        let note = table(manifest, "note");
        for field in ["list", "digest", "chunks", "segments", "plain_bytes", "stored_bytes", "digest_spec"] {
            note[field] = other[field].clone();
        }
        add_up(manifest);
    };
    check("anothers_rows", unchanged, change, &["public.note", "it is the list of public.log"]);
}

fn two_tables_fill_one_entry() {
    let change = |manifest: &mut Value| {
        let id = table(manifest, "log")["toc_id"].clone();
        table(manifest, "note")["toc_id"] = id;
    };
    check("one_entry", unchanged, change, &["public.", "entry"]);
    check(
        "no_entry",
        unchanged,
        |manifest| table(manifest, "note")["toc_id"] = json!(null),
        &["public.note"],
    );
}

fn columns_in_another_order() {
    let change = |manifest: &mut Value| {
        table(manifest, "log")["digest_spec"]["columns"].as_array_mut().unwrap().reverse();
    };
    check("columns", unchanged, change, &["public.log", "its columns are not those"]);
}

fn a_pack_is_listed_twice() {
    let change = |manifest: &mut Value| {
        let twice = manifest["packs"][0].clone();
        manifest["packs"].as_array_mut().unwrap().push(twice);
        add_up(manifest);
    };
    check("pack_twice", unchanged, change, &["lists pack", "twice"]);
}

fn a_pack_has_another_size() {
    let change = |manifest: &mut Value| {
        let bytes = manifest["packs"][0]["bytes"].as_u64().unwrap();
        manifest["packs"][0]["bytes"] = json!(bytes + 1);
        add_up(manifest);
    };
    check("pack_size", unchanged, change, &["bytes in the store where"]);
}

fn a_piece_of_two_gigabytes() {
    for (db, document) in [("piece_catalog", "catalog"), ("piece_toc", "toc")] {
        let change = |manifest: &mut Value| {
            manifest[document]["pieces"][0]["plain_bytes"] = json!(2_u64 << 30);
            manifest[document]["plain_bytes"] = json!(2_u64 << 30);
        };
        check(db, unchanged, change, &["is the most"]);
    }
    let change = |manifest: &mut Value| {
        table(manifest, "log")["list"]["pieces"][0]["plain_bytes"] = json!(2_u64 << 30);
        table(manifest, "log")["list"]["plain_bytes"] = json!(2_u64 << 30);
    };
    check("piece_list", unchanged, change, &["the segment list of public.log", "is the most"]);
}

/// Each time that a piece is named it would take its memory anew.
fn a_piece_that_is_named_twice() {
    for (db, document) in [("twice_catalog", "catalog"), ("twice_toc", "toc")] {
        let change = |manifest: &mut Value| {
            let piece = manifest[document]["pieces"][0].clone();
            let bytes =
                piece["plain_bytes"].as_u64().unwrap() + manifest[document]["plain_bytes"].as_u64().unwrap();
            manifest[document]["pieces"].as_array_mut().unwrap().push(piece);
            manifest[document]["plain_bytes"] = json!(bytes);
        };
        check(db, unchanged, change, &["names the piece", "twice"]);
    }
}

/// What is not in memory before compression is not to be so afterwards.
fn pieces_and_packs_that_take_more_than_they_can() {
    let change = |manifest: &mut Value| manifest["toc"]["pieces"][0]["stored_bytes"] = json!(6_u64 << 30);
    check("stored_piece", unchanged, change, &["the table of contents", "takes 6442450944 bytes for"]);
    let change = |manifest: &mut Value| {
        manifest["packs"][0]["bytes"] = json!(6_u64 << 30);
        add_up(manifest);
    };
    check("stored_pack", unchanged, change, &["is to have 6442450944 bytes", "is the most"]);
    let forge = |parts: &mut Parts| parts.chunks("note")[0].place.stored_bytes = 1 << 31;
    check("stored_chunk", forge, nothing, &["public.note", "takes 2147483648 bytes for"]);
}

fn a_piece_outside_its_pack() {
    let change = |manifest: &mut Value| manifest["toc"]["pieces"][0]["offset"] = json!(u64::MAX);
    check("piece_outside", unchanged, change, &["does not lie within pack"]);
    let change = |manifest: &mut Value| manifest["toc"]["pieces"][0]["offset"] = json!(25);
    check("piece_beside", unchanged, change, &["the index of the pack has no chunk there"]);
}

fn a_document_without_its_bytes() {
    let change = |manifest: &mut Value| manifest["toc"]["plain_bytes"] = json!(7);
    check("without_bytes", unchanged, change, &["the table of contents", "its pieces have"]);
    let change = |manifest: &mut Value| manifest["toc"] = json!({"plain_bytes": 0, "pieces": []});
    check("without_toc", unchanged, change, &["the table of contents"]);
}

fn positions_of_sequences() {
    let change = |manifest: &mut Value| {
        let twice = manifest["sequences"][0].clone();
        manifest["sequences"].as_array_mut().unwrap().push(twice);
    };
    check("position_twice", unchanged, change, &["two positions of sequence public.sale_id_seq"]);
    let change = |manifest: &mut Value| manifest["sequences"][0]["name"] = json!("other");
    check("position_of_none", unchanged, change, &["sequence public.other"]);
}

fn another_source_than_the_catalogs() {
    let change = |manifest: &mut Value| manifest["source"]["encoding"] = json!("LATIN1");
    check("encoding", unchanged, change, &["LATIN1"]);
    let change = |manifest: &mut Value| manifest["source"]["server_version_num"] = json!(130_001);
    check("version", unchanged, change, &["its catalog of 17"]);
}
