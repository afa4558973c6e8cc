//! A store is input: it may be broken or made by somebody else. Each backup here is sealed as dbhaul seals, so that
//! every hash fits, and is false in one respect. Whatever reads it ends with 1 and names what is wrong, and a restore
//! has not touched its target by then.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use dbhaul_archive::{PackId, PackKind, RowChunk, Segment, SegmentRange};
use dbhaul_rows::RowDigest;
use dbhaul_tests::{Dbhaul, Finished};
use kit::{Origin, Parts, add_up};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Memory that a run may take, whatever it is given.
const MAX_RESIDENT_BYTES: u64 = 256 << 20;

/// What the cases of a test share, as long as the test keeps it.
fn origin() -> Rc<Origin> {
    thread_local! {
        static ORIGIN: RefCell<Weak<Origin>> = const { RefCell::new(Weak::new()) };
    }
    ORIGIN.with_borrow_mut(|shared| {
        shared.upgrade().unwrap_or_else(|| {
            let origin = Rc::new(Origin::new(17));
            *shared = Rc::downgrade(&origin);
            origin
        })
    })
}

/// The four commands that read a backup, each with what it says.
fn read_all(store: &TempDir, target: &str) -> [(&'static str, Finished); 4] {
    let origin = origin();
    let (place, server) = (store.path().to_str().unwrap(), &origin.server);
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
    let origin = origin();
    let server = &origin.server;
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
    let origin = origin();
    let server = &origin.server;
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
            let _origin = origin();
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
    let origin = origin();
    let store = origin.take_apart().seal(nothing);
    let server = &origin.server;
    server.create_db("sealed_again");
    for (name, run) in read_all(&store, &server.uri("sealed_again")) {
        assert_eq!(run.code, Some(0), "{name}: {}{}", run.stdout, run.stderr);
    }
}

#[path = "forged_store/places_of_rows.rs"]
mod places_of_rows;

#[path = "forged_store/lists.rs"]
mod lists;

#[path = "forged_store/manifests.rs"]
mod manifests;

#[path = "forged_store/catalogs.rs"]
mod catalogs;

#[path = "forged_store/packs.rs"]
mod packs;

#[path = "forged_store/rows.rs"]
mod rows;
