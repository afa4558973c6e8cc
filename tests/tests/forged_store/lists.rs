use super::*;

cases! { are_found_out:
    a_list_lies_in_a_pack_of_rows,
    a_pack_of_rows_is_said_to_be_of_metadata,
    a_list_is_another_tables,
    a_list_is_cut_off,
    a_segment_is_missing,
    a_segment_claims_more_chunks_than_there_are,
    the_list_ends_otherwise_than_it_adds_up,
    digests_are_larger_than_can_be_counted,
    a_check_names_a_missing_pack_beside_broken_lists,
}

/// Changes the text of a table's list.
fn change_text(table: &str, change: impl FnOnce(String) -> String) -> impl FnOnce(&mut Parts) {
    move |parts: &mut Parts| {
        let number = parts.table(table);
        let text = String::from_utf8(parts.list_text(number)).unwrap();
        parts.list_texts.insert(number, change(text).into_bytes());
    }
}

fn a_list_lies_in_a_pack_of_rows() {
    let forge = |parts: &mut Parts| parts.list_pack_kind = PackKind::Data;
    check("list_in_data", forge, nothing, &["the segment list of", "which is one of rows"]);
}

fn a_pack_of_rows_is_said_to_be_of_metadata() {
    let forge = |parts: &mut Parts| parts.list_pack_kind = PackKind::Data;
    let change = |manifest: &mut Value| {
        let packs = manifest["packs"].as_array_mut().unwrap();
        let lists = packs.len() - 2;
        packs[lists]["kind"] = json!("meta");
    };
    check("kind", forge, change, &["where the manifest says"]);
}

fn a_list_is_another_tables() {
    let forge = |parts: &mut Parts| {
        let (log, note) = (parts.table("log"), parts.table("note"));
        let text = parts.list_text(note);
        parts.list_texts.insert(log, text);
    };
    check("others_list", forge, nothing, &["public.log", "it is the list of public.note"]);
}

fn a_list_is_cut_off() {
    let forge = change_text("log", |text| text[..text.rfind("{\"end\"").unwrap()].to_owned());
    check("cut_off", forge, nothing, &["public.log", "it is cut off"]);
}

fn a_segment_is_missing() {
    let forge = |parts: &mut Parts| {
        let number = parts.table("log");
        let empty = |index| Segment { index, range: SegmentRange::Part(index), chunks: vec![] };
        parts.lists[number].extend([empty(1), empty(2)]);
        let text = String::from_utf8(parts.list_text(number)).unwrap();
        let second = text.lines().filter(|line| !line.contains("\"index\":1,")).collect::<Vec<_>>();
        parts.list_texts.insert(number, (second.join("\n") + "\n").into_bytes());
    };
    check("missing_segment", forge, nothing, &["public.log", "segment 1 is missing"]);
}

fn a_segment_claims_more_chunks_than_there_are() {
    let forge =
        change_text("note", |text| text.replace("\"chunks\":1,\"packs\"", "\"chunks\":4294967296,\"packs\""));
    check("claims", forge, nothing, &["public.note", "is the most"]);
}

fn the_list_ends_otherwise_than_it_adds_up() {
    let forge =
        change_text("note", |text| text.replace("{\"end\":{\"segments\":1", "{\"end\":{\"segments\":2"));
    check("otherwise", forge, nothing, &["public.note", "its end says"]);
}

fn digests_are_larger_than_can_be_counted() {
    let digest: RowDigest = format!("{}:0", u64::MAX).parse().unwrap();
    let forge = |parts: &mut Parts| {
        // the sums that the kit makes must not overflow: they are made of one chunk, then the other is added
        let chunks = parts.chunks("log");
        chunks[0].digest = digest;
        chunks.truncate(1);
        let number = parts.table("log");
        let text = String::from_utf8(parts.list_text(number)).unwrap();
        let line = text.lines().find(|line| line.starts_with("{\"chunk\"")).unwrap();
        let twice = text.replace(line, &format!("{line}\n{line}")).replace("\"chunks\":1", "\"chunks\":2");
        parts.list_texts.insert(number, twice.into_bytes());
    };
    check(
        "overflow",
        forge,
        |manifest| {
            for table in manifest["tables"].as_array_mut().unwrap() {
                if table["name"] == "log" {
                    table["plain_bytes"] = json!(u64::MAX / 2);
                    table["digest"] = json!(format!("{}:0", u64::MAX / 4));
                }
            }
            add_up(manifest);
        },
        &["public.log"],
    );
}

fn a_check_names_a_missing_pack_beside_broken_lists() {
    let mut parts = origin().take_apart();
    change_text("log", |text| text[..text.rfind("{\"end\"").unwrap()].to_owned())(&mut parts);
    let claims =
        change_text("note", |text| text.replace("{\"end\":{\"segments\":1", "{\"end\":{\"segments\":2"));
    claims(&mut parts);
    let pack = parts.chunks("sale")[0].place.pack;
    let path = parts.path(pack);
    let store = parts.seal(nothing);
    let place = store.path().to_str().unwrap();
    let check = |level: &str, words: &[&str]| {
        let run = Dbhaul::new(["backup", "check", "--no-record", "--level", level, "--store", place]).run();
        run.assert_code(4);
        for word in words {
            assert!(run.stdout.contains(word), "level {level}: {word:?} is not in {run}");
        }
    };
    let lists = ["the list of table public.log: ", "the list of table public.note: "];
    for level in ["0", "1", "2"] {
        check(level, &lists);
    }
    std::fs::remove_file(path).unwrap();
    for level in ["0", "1", "2"] {
        check(level, &[&lists[..], &[&pack.to_string(), "is missing"]].concat());
    }
}
