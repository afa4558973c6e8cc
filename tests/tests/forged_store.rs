//! A store is input: it may be broken or made by somebody else. Each backup here is sealed as dbhaul seals, so that
//! every hash fits, and is false in one respect. Whatever reads it ends with 1 and names what is wrong, and a restore
//! has not touched its target by then.

use std::sync::OnceLock;

use dbhaul_archive::{PackId, PackKind, RowChunk, Segment, SegmentRange};
use dbhaul_rows::RowDigest;
use dbhaul_tests::{Dbhaul, Finished};
use kit::{Origin, Parts, add_up};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Memory that a run may take, whatever it is given.
const MAX_RESIDENT_BYTES: u64 = 256 << 20;

fn origin() -> &'static Origin {
    static ORIGIN: OnceLock<Origin> = OnceLock::new();
    ORIGIN.get_or_init(|| Origin::new(17))
}

/// The four commands that read a backup, each with what it says.
fn read_all(store: &TempDir, target: &str) -> [(&'static str, Finished); 4] {
    let (place, server) = (store.path().to_str().unwrap(), &origin().server);
    let shop = server.uri("shop");
    let commands: [(&str, Vec<&str>); 4] = [
        ("show", vec!["backup", "show", "--store", place]),
        ("export", vec!["backup", "export", "--store", place]),
        ("verify", vec!["verify", "--store", place, "--target", &shop]),
        ("restore", vec!["restore", "--store", place, "--target", target]),
    ];
    let running = commands.map(|(name, arguments)| (name, Dbhaul::new(arguments).spawn()));
    running.map(|(name, running)| (name, running.wait()))
}

/// Asserts that nothing of a restore is in a database.
fn assert_untouched(db: &str) {
    let sql = "SELECT count(*) FROM pg_class WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, \
               'information_schema'::regnamespace, 'pg_toast'::regnamespace)";
    let server = &origin().server;
    assert_eq!(server.psql(db, sql).trim(), "0", "{db}");
    assert_eq!(server.psql(db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'dbhaul'").trim(), "0");
    assert_eq!(server.psql(db, "SELECT count(*) FROM pg_largeobject_metadata").trim(), "0");
}

/// What is wrong with a backup shows before anything is done with it, in every command.
#[track_caller]
fn check(db: &str, forge: impl FnOnce(&mut Parts), change: impl FnOnce(&mut Value), words: &[&str]) {
    let mut parts = origin().take_apart();
    forge(&mut parts);
    check_store(db, &parts.seal(change), words);
}

#[track_caller]
fn check_store(db: &str, store: &TempDir, words: &[&str]) {
    let server = &origin().server;
    server.create_db(db);
    for (name, run) in read_all(store, &server.uri(db)) {
        assert_eq!(run.code, Some(1), "{name}: {}{}", run.stdout, run.stderr);
        // lines are broken where the terminal ends, in the middle of a sentence
        let told = run.stderr.replace("\n", " ");
        let told: String = told.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(told.contains(word), "{name}: {word:?} is not in: {told}");
        }
        assert!(!run.stderr.contains("panicked"), "{name}: {}", run.stderr);
        assert!(run.peak_resident_bytes < MAX_RESIDENT_BYTES, "{name}: {} bytes", run.peak_resident_bytes);
        assert!(!run.stdout.contains("PostgreSQL database dump complete"), "{name}");
    }
    assert_untouched(db);
    server.drop_db(db);
}

/// One test of many cases, which share a server and its backup.
macro_rules! cases {
    ($name:ident: $($case:ident),* $(,)?) => {
        #[test]
        fn $name() {
            $( println!("{}", stringify!($case)); $case(); )*
        }
    };
}

#[path = "forged_store/kit.rs"]
mod kit;
#[path = "forged_store/places.rs"]
mod places;

/// Nothing is done to the manifest's JSON.
fn nothing(_: &mut Value) {}

#[test]
fn a_store_that_is_sealed_again_reads() {
    let store = origin().take_apart().seal(nothing);
    let server = &origin().server;
    server.create_db("sealed_again");
    for (name, run) in read_all(&store, &server.uri("sealed_again")) {
        assert_eq!(run.code, Some(0), "{name}: {}{}", run.stdout, run.stderr);
    }
}

mod places_of_rows {
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
            (place.offset, place.stored_bytes) = (u64::MAX - 1, u64::MAX / 4);
        };
        check("beyond", forge, nothing, &["the index of the pack has no chunk there"]);
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
        let server = &origin().server;
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
}

mod lists {
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
        let forge = change_text("note", |text| {
            text.replace("\"chunks\":1,\"packs\"", "\"chunks\":4294967296,\"packs\"")
        });
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
            let twice =
                text.replace(line, &format!("{line}\n{line}")).replace("\"chunks\":1", "\"chunks\":2");
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
}

mod manifests {
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
            for field in
                ["list", "digest", "chunks", "segments", "plain_bytes", "stored_bytes", "digest_spec"]
            {
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
}

mod catalogs {
    use super::*;

    cases! { are_found_out:
        a_table_is_taken_out_of_the_catalog,
        a_view_is_taken_out_of_the_catalog,
        a_table_is_taken_out_of_the_table_of_contents,
        a_view_is_taken_out_of_the_table_of_contents,
        a_table_is_in_the_catalog_twice,
        the_catalog_has_a_table_more,
        entries_have_wrong_numbers,
    }

    fn retain(list: &mut Value, keep: impl Fn(&Value) -> bool) {
        let list = list.as_array_mut().unwrap();
        let before = list.len();
        list.retain(keep);
        assert!(list.len() < before, "something was taken out");
    }

    fn a_table_is_taken_out_of_the_catalog() {
        let forge =
            |parts: &mut Parts| retain(&mut parts.catalog["objects"], |object| object["name"] != "note");
        check("not_in_catalog", forge, nothing, &["the catalog does not have", "note"]);
    }

    fn a_view_is_taken_out_of_the_catalog() {
        let forge =
            |parts: &mut Parts| retain(&mut parts.catalog["objects"], |object| object["name"] != "sales");
        check("view_not_in_catalog", forge, nothing, &["the catalog does not have", "sales"]);
    }

    fn a_table_is_taken_out_of_the_table_of_contents() {
        let forge = |parts: &mut Parts| {
            retain(&mut parts.toc["entries"], |entry| entry["name"] != "note");
            for (number, entry) in (1..).zip(parts.toc["entries"].as_array_mut().unwrap()) {
                entry["id"] = json!(number);
            }
        };
        check("not_in_toc", forge, nothing, &["of the table of contents"]);
    }

    fn a_view_is_taken_out_of_the_table_of_contents() {
        let forge = |parts: &mut Parts| {
            let entries = parts.toc["entries"].as_array_mut().unwrap();
            let view = entries.iter_mut().find(|entry| entry["name"] == "sales").unwrap();
            view["object"] = json!(null);
        };
        check("view_not_in_toc", forge, nothing, &["it lacks VIEW sales"]);
    }

    fn a_table_is_in_the_catalog_twice() {
        let forge = |parts: &mut Parts| {
            let objects = parts.catalog["objects"].as_array_mut().unwrap();
            let twice = objects.iter().find(|object| object["name"] == "note").unwrap().clone();
            objects.push(twice);
        };
        check("catalog_twice", forge, nothing, &["note"]);
        let forge = |parts: &mut Parts| {
            let objects = parts.catalog["objects"].as_array_mut().unwrap();
            let mut twice = objects.iter().find(|object| object["name"] == "note").unwrap().clone();
            twice["id"]["oid"] = json!(99_999_999);
            objects.push(twice);
        };
        check("catalog_twice_2", forge, nothing, &["two relations public.note"]);
    }

    fn the_catalog_has_a_table_more() {
        let forge = |parts: &mut Parts| {
            let objects = parts.catalog["objects"].as_array_mut().unwrap();
            let mut more = objects.iter().find(|object| object["name"] == "note").unwrap().clone();
            more["id"]["oid"] = json!(99_999_999);
            more["name"] = json!("more");
            objects.push(more);
        };
        check("catalog_more", forge, nothing, &["more", "which the catalog has"]);
    }

    fn entries_have_wrong_numbers() {
        let forge = |parts: &mut Parts| parts.toc["entries"][0]["id"] = json!(2);
        check("numbers", forge, nothing, &["entry 1 has the number 2"]);
    }
}

mod packs {
    use super::*;

    cases! { are_found_out:
        an_index_with_a_gap,
        an_index_that_does_not_fill_its_pack,
        an_index_of_more_chunks_than_fit,
        bytes_behind_the_trailer,
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
}

/// What only the rows themselves tell: it is found where they are read, and named.
mod rows {
    use super::*;

    cases! { are_found_out:
        digests_of_other_rows,
        counts_of_other_rows,
        chunks_whose_rows_are_swapped,
        rows_of_another_table,
        rows_without_their_fields,
        rows_that_do_not_end,
    }

    /// Digests that add up everywhere, of rows that are not there.
    fn forged(db: &str, forge: impl FnOnce(&mut Parts), words: &[&str]) {
        let mut parts = origin().take_apart();
        forge(&mut parts);
        let store = parts.seal(nothing);
        let server = &origin().server;
        server.create_db(db);
        for (name, run) in read_all(&store, &server.uri(db)) {
            if name == "show" {
                assert_eq!(run.code, Some(0), "it reads no rows: {}", run.stderr);
                continue;
            }
            assert_eq!(run.code, Some(1), "{name}: {}{}", run.stdout, run.stderr);
            let told = run.stdout + &run.stderr;
            let told: String =
                told.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
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
        forged("fields", forge, &["public.note", "1 fields where 2 columns are expected"]);
    }

    fn rows_that_do_not_end() {
        let forge = |parts: &mut Parts| {
            let place = parts.add_rows(PackKind::Data, "only one\t1");
            parts.chunks("note")[0].place = place;
        };
        forged("unterminated", forge, &["public.note", "ends inside row"]);
    }
}
