//! An encrypted store on a real server: who can do what with which key, and what is made of a store that somebody
//! else has written to.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dbhaul_archive::{Generation, Holder, ReaderKeys, Recipient, Secret, WriterKey, keys};
use dbhaul_tests::{Dbhaul, Finished, S3Directory, Server, age_program};
use tempfile::TempDir;

/// A reader who is not here.
const OTHER: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// Stands in a row, a table's name and a most common value, and must stand nowhere in the store.
const MARK: &str = "s3cret_marker";

struct World {
    server: Server,
    directory: TempDir,
    /// Where the store lies, if not in the directory.
    s3: Option<S3Directory>,
    recipient: String,
    fingerprint: String,
}

impl World {
    /// A database, and a store that a private key made by age-keygen opens.
    fn new(s3: Option<S3Directory>) -> Self {
        let server = Server::start(18);
        server.create_db("shop");
        // long enough for packs of many blocks, and a row that is read in pieces, where that is looked at
        let (rows, hashes) = if s3.is_some() { (60_000, 400_000) } else { (2000, 10) };
        server.psql(
            "shop",
            &format!(
                "CREATE TABLE {MARK} AS SELECT i, '{MARK}'::text AS t, md5(i::text) AS m \
                 FROM generate_series(1, {rows}) i; CREATE TABLE big (i int, t text); \
                 ALTER TABLE big ALTER t SET STORAGE EXTERNAL; INSERT INTO big SELECT 1, \
                 string_agg(md5(i::text), '') FROM generate_series(1, {hashes}) i; ANALYZE"
            ),
        );
        let mut world = World {
            server,
            directory: TempDir::new().unwrap(),
            s3,
            recipient: String::new(),
            fingerprint: String::new(),
        };
        world.recipient = keygen(&world.path("me.txt"));
        keygen(&world.path("other.txt"));
        let recipient = world.recipient.clone();
        let made = world
            .run(&["store", "init", "--json", "--recipient", &recipient, "--writer-key-out"], "writer.json");
        made.assert_code(0);
        let report: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
        world.fingerprint = report["fingerprint"].as_str().unwrap().to_owned();
        let mode = std::fs::metadata(world.path("writer.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where the store's objects are files.
    fn store(&self) -> PathBuf {
        match &self.s3 {
            Some(s3) => s3.root().join("bucket/store"),
            None => self.path("store"),
        }
    }

    /// A command on the store.
    fn command(&self, arguments: &[&str]) -> Dbhaul {
        let run = Dbhaul::new(arguments.iter().copied()).arg("--store");
        match &self.s3 {
            Some(s3) => run.arg(s3.endpoint().store_url("bucket", "store")).envs(s3.endpoint().env()),
            None => run.arg(self.store()),
        }
    }

    /// A run on the store; the last argument is a file beside it.
    fn run(&self, arguments: &[&str], file: &str) -> Finished {
        let file = self.path(file).display().to_string();
        self.command(&[arguments, &[file.as_str()]].concat()).run()
    }

    fn dump(&self, writer_key: &str) -> Finished {
        let source = self.server.uri("shop");
        self.run(&["dump", "--source", &source, "--roles", "all", "--writer-key"], writer_key)
    }

    /// A restore with one key into a new database, and what it has then.
    fn restore(&self, more: &[&str], key: &str) -> (Finished, String) {
        self.server.create_db("copy");
        let target = self.server.uri("copy");
        let mut arguments = vec!["restore", "--target", &target, "--database", "shop"];
        arguments.extend(more);
        let run = self.run(&arguments, key);
        let rows = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM ";
        let found = match self.tables("copy").as_str() {
            "2" => ["s3cret_marker t", "big t"]
                .map(|table| self.server.psql("copy", &format!("{rows}{table}")))
                .concat(),
            other => other.to_owned(),
        };
        self.server.drop_db("copy");
        (run, found)
    }

    fn tables(&self, db: &str) -> String {
        let sql =
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
        self.server.psql(db, sql).trim().to_owned()
    }

    fn expected(&self) -> String {
        let rows = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM ";
        ["s3cret_marker t", "big t"].map(|table| self.server.psql("shop", &format!("{rows}{table}"))).concat()
    }

    /// Fails with these words, and leaves the target as it was.
    fn assert_refused(&self, more: &[&str], key: &str, words: &str) {
        let (run, found) = self.restore(more, key);
        run.assert_code(1);
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
        assert_eq!(found, "0", "the target was touched");
    }

    fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut found = files(&self.store().join(below));
        // what the server keeps beside its objects
        found.retain(|file| !file.file_name().unwrap().to_string_lossy().starts_with('.'));
        found.sort();
        found
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Makes a private key, and returns its recipient.
fn keygen(file: &Path) -> String {
    let made = Command::new(age_program("age-keygen")).arg("-o").arg(file).output().unwrap();
    assert!(made.status.success());
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}

/// What `age -d -i IDENTITY FILE | zstd -dc` prints, or without zstd.
fn decrypted(identity: &Path, file: &Path, unpack: bool) -> Option<Vec<u8>> {
    let mut age = Command::new(age_program("age"));
    age.args(["-d", "-i"]).arg(identity).arg(file).stdout(Stdio::piped()).stderr(Stdio::null());
    if !unpack {
        return Some(age.output().unwrap())
            .filter(|output| output.status.success())
            .map(|output| output.stdout);
    }
    let mut age = age.spawn().unwrap();
    let mut zstd = Command::new(age_program("zstd"));
    let printed = zstd.arg("-dc").stdin(age.stdout.take().unwrap()).output().unwrap();
    (age.wait().unwrap().success() && printed.status.success()).then_some(printed.stdout)
}

#[test]
fn each_key_opens_what_it_is_for() {
    let s3 = S3Directory::start();
    s3.create_bucket("bucket");
    let world = World::new(Some(s3));
    let source = world.server.uri("shop");
    let without = world.command(&["dump", "--source", &source]).run();
    without.assert_code(1);
    without.assert_stderr_has(&["no writer key was given"]);
    world.dump("writer.json").assert_code(0);
    // nothing in the store shows what is in the database
    for file in world.files("") {
        let bytes = std::fs::read(&file).unwrap();
        let is_in = bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes());
        assert!(!is_in, "{}", file.display());
    }
    let list = world.run(&["backup", "list", "--writer-key"], "writer.json");
    list.assert_code(0);
    assert!(list.stdout.contains("60001") && list.stdout.contains("shop"), "{}", list.stdout);
    for show in [&["backup", "show"][..], &["backup", "show", "--ddl"]] {
        let shown = world.run(&[show, &["--writer-key"]].concat(), "writer.json");
        shown.assert_code(0);
        assert!(shown.stdout.contains(MARK), "{}", shown.stdout);
    }
    world.run(&["cleanup", "--writer-key"], "writer.json").assert_code(0);
    // a restore needs a private key, and the right one
    world.assert_refused(
        &["--store-fingerprint", &world.fingerprint, "--writer-key"],
        "writer.json",
        "writer key",
    );
    world.assert_refused(&["--identity-file"], "other.txt", "none of the keys that were given opens");
    let other = "0".repeat(32);
    let refused = world.run(&["backup", "list", "--store-fingerprint", &other, "--identity-file"], "me.txt");
    refused.assert_code(1);
    refused.assert_stderr_has(&["its keys were replaced"]);
    let none = world.command(&["backup", "list"]).run();
    none.assert_code(1);
    none.assert_stderr_has(&["is encrypted, and no key was given"]);
    let exported = world.run(&["backup", "export", "--writer-key"], "writer.json");
    exported.assert_code(1);
    assert!(exported.stdout.is_empty() && exported.stderr.contains("cannot be read with a writer key"));

    let (run, found) = world.restore(&["--statistics", "copy", "--identity-file"], "me.txt");
    run.assert_code(0);
    assert!(!run.stderr.contains("statistics cannot be copied"), "{}", run.stderr);
    assert!(run.stderr.contains(&world.fingerprint), "{}", run.stderr);
    assert_eq!(found, world.expected());
    let command = format!("cat {}", world.path("me.txt").display());
    let live = ["verify", "--target", &source, "--store-fingerprint", &world.fingerprint];
    let verified = world.command(&[&live[..], &["--identity-command", &command]].concat()).run();
    verified.assert_code(0);
    let exported = world.run(&["backup", "export", "--identity-file"], "me.txt");
    exported.assert_code(0);
    assert!(exported.stdout.contains(MARK));
    reads_without_dbhaul(&world);
}

/// By age and zstd alone, with the private key: the rows; with the metadata key: the manifest.
fn reads_without_dbhaul(world: &World) {
    let [wrapped] = &world.files("keys")[..] else { panic!("one wrapped key") };
    let keys = world.path("keys.txt");
    std::fs::write(&keys, decrypted(&world.path("me.txt"), wrapped, false).unwrap()).unwrap();
    let packs = world.files("packs");
    let printed: Vec<Vec<u8>> = packs.iter().map(|pack| decrypted(&keys, pack, true).unwrap()).collect();
    let row = format!("\n59999\t{MARK}\t");
    assert!(printed.iter().any(|plain| String::from_utf8_lossy(plain).contains(&row)));
    assert!(packs.iter().all(|pack| decrypted(&world.path("other.txt"), pack, false).is_none()));
    let [manifest] = &world.files("backups")[..] else { panic!("one manifest") };
    let bytes = std::fs::read(manifest).unwrap();
    let body = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let encrypted = world.path("body.age");
    std::fs::write(&encrypted, &bytes[body..]).unwrap();
    let body: serde_json::Value =
        serde_json::from_slice(&decrypted(&keys, &encrypted, false).unwrap()).unwrap();
    assert_eq!(body["source"]["database"], "shop");
}

#[test]
fn what_somebody_else_has_put_into_the_store_is_refused() {
    let world = World::new(None);
    world.dump("writer.json").assert_code(0);
    let identity = ["--identity-file"];
    // a manifest under the name of another database
    let [manifest] = &world.files("backups")[..] else { panic!("one manifest") };
    let other = world.store().join("backups/other");
    std::fs::create_dir(&other).unwrap();
    let moved = other.join(manifest.file_name().unwrap());
    std::fs::copy(manifest, &moved).unwrap();
    let shown = world.run(&["backup", "show", "--database", "other", "--identity-file"], "me.txt");
    shown.assert_code(1);
    shown.assert_stderr_has(&["not one that a writer of this store has put there"]);
    std::fs::remove_dir_all(&other).unwrap();
    // packs in each other's places: of sizes that differ, and of the same size with other bytes
    let packs = world.files("packs");
    let first = std::fs::read(&packs[0]).unwrap();
    for bytes in [std::fs::read(&packs[1]).unwrap(), first.iter().map(|byte| byte ^ 1).collect()] {
        std::fs::write(&packs[0], bytes).unwrap();
        world.assert_refused(&identity, "me.txt", "pack");
    }
    std::fs::write(&packs[0], first).unwrap();
    // a configuration that says that nothing is encrypted
    let config = world.store().join("repo.json");
    let encrypted = std::fs::read_to_string(&config).unwrap();
    let plain = encrypted
        .replace("\"age\"\n  ]", "]")
        .replace("\n    ],", "],")
        .replace("\"method\": \"age\"", "\"method\": \"none\"");
    std::fs::write(&config, plain).unwrap();
    let dumped = world.dump("writer.json");
    dumped.assert_code(1);
    dumped.assert_stderr_has(&["is not an encrypted store"]);
    world.assert_refused(&identity, "me.txt", "is not an encrypted store");
    // nor by a dump that has lost its key, which would write rows in plain
    let source = world.server.uri("shop");
    let keyless = world.command(&["dump", "--source", &source]).run();
    keyless.assert_code(1);
    keyless.assert_stderr_has(&["but it holds wrapped keys"]);
    std::fs::write(&config, encrypted).unwrap();
    // keys of his own, encrypted to the reader
    let writer = std::fs::read_to_string(world.path("writer.json")).unwrap();
    let store = WriterKey::parse(&Secret::new(writer)).unwrap().store();
    let [wrapped] = &world.files("keys")[..] else { panic!("one wrapped key") };
    let name = format!("keys/{}", wrapped.file_name().unwrap().to_str().unwrap());
    let (id, holder) = keys::parse_wrapped_key(&name).unwrap();
    let (other_id, _) =
        keys::parse_wrapped_key(&format!("keys/01KG8WM6Y00000000000000001.{holder}")).unwrap();
    let recipient: Recipient = world.recipient.parse().unwrap();
    let forged = Generation::generate(other_id, store, None).unwrap();
    let (key, bytes) = forged.wrap(&Holder::Recipient(recipient)).unwrap();
    std::fs::write(world.store().join(&key), bytes).unwrap();
    world.assert_refused(&identity, "me.txt", &forged.id().to_string());
    let stale = world.dump("writer.json");
    stale.assert_code(1);
    assert!(stale.stderr.contains(&forged.id().to_string()), "{}", stale.stderr);
    std::fs::remove_file(world.store().join(&key)).unwrap();
    // in the place of the real ones: only the fingerprint tells
    let genuine = std::fs::read(wrapped).unwrap();
    let impostor = Generation::generate(id, store, None).unwrap();
    let (_, bytes) = impostor.wrap(&Holder::Recipient(world.recipient.parse().unwrap())).unwrap();
    std::fs::write(wrapped, bytes).unwrap();
    world.assert_refused(
        &["--store-fingerprint", &world.fingerprint, "--identity-file"],
        "me.txt",
        "fingerprint",
    );
    world.assert_refused(&identity, "me.txt", "not one that a writer of this store has put there");
    std::fs::write(wrapped, genuine).unwrap();
    // without its wrapped keys nobody could read a backup, and none is made
    let away = world.path("away");
    std::fs::rename(wrapped, &away).unwrap();
    let lost = world.dump("writer.json");
    lost.assert_code(1);
    lost.assert_stderr_has(&["nobody could read a backup"]);
    std::fs::rename(&away, wrapped).unwrap();
    let (run, found) = world.restore(&identity, "me.txt");
    run.assert_code(0);
    assert_eq!(found, world.expected());
}

/// Rows are read, or backups listed, with keys that no flag holds; and recipients are read from a file.
fn keys_come_from_commands_and_the_environment(world: &World) {
    let check = || world.command(&["backup", "check", "--level", "2", "--no-record"]);
    let path = |name: &str| world.path(name).display().to_string();
    let print = format!("cat {}", path("word.txt"));
    check().args(["--passphrase-command", &print]).run().assert_code(0);
    check().args(["--passphrase-command", "echo wrong"]).run().assert_code(1);
    check()
        .args(["--passphrase-command", &print, "--passphrase-file", &path("word.txt")])
        .run()
        .assert_code(2);
    let failing = check().args(["--passphrase-command", "echo hunter2; false"]).run();
    failing.assert_code(2).assert_stderr_has(&["--passphrase-command: "]);
    assert!(!failing.stderr.contains("hunter2"), "{failing}");
    check().env("DBHAUL_PASSPHRASE_FILE", path("word.txt")).run().assert_code(0);
    check().env("DBHAUL_IDENTITY_FILE", path("me.txt")).run().assert_code(0);
    let list = world.command(&["backup", "list"]);
    list.env("DBHAUL_WRITER_KEY", path("writer.json")).run().assert_code(0);

    std::fs::write(world.path("readers"), format!("# two\n{}\n{OTHER}\n", world.recipient)).unwrap();
    let place = path("second");
    let init =
        ["store", "init", &place, "--recipients-file", &path("readers"), "--writer-key-out", &path("w")];
    Dbhaul::new(init).run().assert_code(0);
    let list = ["store", "key", "list", "--store", &place, "--identity-file", &path("me.txt")];
    let listed = Dbhaul::new(list).run();
    listed.assert_code(0);
    let holders = listed.stdout.lines().last().unwrap().split(", ").count();
    assert_eq!(holders, 2, "{listed}");
}

#[test]
fn keys_are_added_removed_and_rotated() {
    let world = World::new(None);
    world.dump("writer.json").assert_code(0);
    // who cannot read rows knows them again all the same, and refers to them
    let packs = world.files("packs").len();
    let second = world.dump("writer.json");
    second.assert_code(0);
    assert!(second.stdout.contains("of rows reused from backup"), "{}", second.stdout);
    assert!(world.files("packs").len() <= packs + 2, "metadata and statistics alone are new");
    std::fs::write(world.path("word.txt"), "correct horse battery\n").unwrap();
    let word = world.path("word.txt").display().to_string();
    let with_me = |arguments: &[&str]| world.run(&[arguments, &["--identity-file"]].concat(), "me.txt");
    let writer = world.run(&["store", "key", "add", "--recipient", OTHER, "--writer-key"], "writer.json");
    writer.assert_code(1).assert_stderr_has(&["which a writer key does not open", "--identity-file"]);
    assert!(!writer.stderr.contains("do not trust"), "{writer}");
    with_me(&["store", "key", "add", "--new-passphrase-file", &word]).assert_code(0);
    let again = with_me(&["store", "key", "add", "--new-passphrase-file", &word]);
    again.assert_code(1);
    again.assert_stderr_has(&["has a passphrase already"]);
    let listed = with_me(&["store", "key", "list"]);
    listed.assert_code(0);
    assert!(
        listed.stdout.contains("passphrase") && listed.stdout.contains(&world.fingerprint),
        "{}",
        listed.stdout
    );
    let (run, found) = world.restore(&["--passphrase-file"], "word.txt");
    run.assert_code(0);
    assert_eq!(found, world.expected());
    keys_come_from_commands_and_the_environment(&world);
    // everybody must be named again
    let new = world.path("writer-2.json").display().to_string();
    let rotate = ["store", "key", "rotate", "--recipient", &world.recipient, "--writer-key-out", &new];
    let refused = with_me(&rotate);
    refused.assert_code(1);
    refused.assert_stderr_has(&["also wrapped for passphrase"]);
    assert!(!Path::new(&new).exists());
    // one key must open all generations, and a reader has one passphrase
    std::fs::write(world.path("other-word.txt"), "brand new words\n").unwrap();
    let other = world.path("other-word.txt").display().to_string();
    let refused = with_me(&[&rotate[..], &["--new-passphrase-file", &other]].concat());
    refused.assert_code(1).assert_stderr_has(&["another passphrase than key generation"]);
    let (run, found) = world.restore(&["--passphrase-file"], "word.txt");
    run.assert_code(0);
    assert_eq!(found, world.expected());
    with_me(&[&rotate[..], &["--new-passphrase-file", &word]].concat()).assert_code(0);
    let stale = world.dump("writer.json");
    stale.assert_code(1);
    stale.assert_stderr_has(&["which the writer key does not know"]);
    // a rotation that was stopped half-way has wrapped the new keys for some alone
    let wrapped = world.files("keys");
    let of_word = wrapped.iter().filter(|path| path.extension().is_some_and(|holder| holder == "passphrase"));
    let newest = of_word.max().unwrap();
    let bytes = std::fs::read(newest).unwrap();
    std::fs::remove_file(newest).unwrap();
    let half = world.dump("writer-2.json");
    half.assert_code(1);
    half.assert_stderr_has(&["are not wrapped for passphrase", "store key add"]);
    std::fs::write(newest, bytes).unwrap();
    world.server.psql("shop", "DELETE FROM s3cret_marker WHERE i > 10");
    let anew = world.dump("writer-2.json");
    anew.assert_code(0);
    anew.assert_stderr_has(&["the keys were rotated since backup"]);
    // all backups are read with one key, and their packs counted by the new writer key
    let (run, found) = world.restore(&["--identity-file"], "me.txt");
    run.assert_code(0);
    assert_eq!(found, world.expected());
    let listed = world.run(&["backup", "list", "--json", "--writer-key"], "writer-2.json");
    listed.assert_code(0);
    let backups: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(
        backups.iter().map(|backup| backup["row_count"].as_u64()).collect::<Vec<_>>(),
        [Some(2001), Some(2001), Some(11)]
    );
    let older = world.run(&["backup", "list", "--writer-key"], "writer.json");
    older.assert_code(0);
    assert!(older.stdout.contains("NO KEY: ") && !older.stdout.contains("DAMAGED"), "{}", older.stdout);
    let first = backups[0]["id"].as_str().unwrap().to_owned();
    let (run, _) = world.restore(&["--backup", &first, "--identity-file"], "me.txt");
    run.assert_code(0);
    let cleaned = world.run(&["cleanup", "--yes", "--grace-hours", "0", "--writer-key"], "writer-2.json");
    cleaned.assert_code(0);
    assert!(cleaned.stdout.contains("no pack to remove"), "{}", cleaned.stdout);
    // what makes backups forgets them, too, and frees their space
    let pack_count = world.files("packs").len();
    let forget = ["backup", "forget", "--keep-last", "1", "--allow-shrunk", "--writer-key"];
    world.run(&forget, "writer-2.json").assert_code(0);
    for pack in world.files("packs") {
        // younger ones could be those of a dump at work
        assert!(Command::new("touch").args(["-d", "2 hours ago"]).arg(pack).status().unwrap().success());
    }
    for _ in 0..2 {
        world.run(&["backup", "prune", "--grace-hours", "0", "--writer-key"], "writer-2.json").assert_code(0);
    }
    assert!(world.files("packs").len() < pack_count);
    let (run, found) = world.restore(&["--identity-file"], "me.txt");
    run.assert_code(0);
    assert_eq!(found, world.expected());
    let kit = with_me(&["store", "recovery-kit"]);
    kit.assert_code(0);
    assert_eq!(kit.stdout.matches("BEGIN AGE ENCRYPTED FILE").count(), 4, "{}", kit.stdout);
    let armored = kit.stdout.split("-----BEGIN").last().unwrap();
    std::fs::write(world.path("printed"), format!("-----BEGIN{armored}")).unwrap();
    assert!(kit.stdout.contains(&world.fingerprint));
    let place = world.store().display().to_string();
    assert!(
        kit.stdout.contains(&format!("dbhaul restore --store {place} --database NAME")),
        "{}",
        kit.stdout
    );
    the_passphrase_is_changed(&world);
    // who is removed opens nothing any more; the last one stays
    let remove = |holder: &str| world.command(&["store", "key", "remove", holder]).run();
    let unproven = remove("passphrase");
    unproven.assert_code(1);
    unproven.assert_stderr_has(&["no key was given that opens", "--unverified"]);
    world.run(&["store", "key", "remove", "passphrase", "--identity-file"], "me.txt").assert_code(0);
    world.assert_refused(&["--passphrase-file"], "other-word.txt", "none of the keys that were given opens");
    // what is no wrapped key is nobody who could still open the store
    for wrapped in world.files("keys") {
        std::fs::write(wrapped.with_extension("aaaaaaaaaaaaaaaa"), "junk").unwrap();
    }
    let last = remove(&world.recipient);
    last.assert_code(1);
    last.assert_stderr_has(&["nothing was removed"]);
    for junk in
        world.files("keys").iter().filter(|path| path.extension().is_some_and(|of| of == "aaaaaaaaaaaaaaaa"))
    {
        std::fs::remove_file(junk).unwrap();
    }
    with_me(&["store", "key", "writer", "--writer-key-out", &world.path("again.json").display().to_string()])
        .assert_code(0);
    let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    assert_eq!(read("again.json"), read("writer-2.json"));
    rotations_at_the_same_time(&world);
}

/// Another passphrase takes the place of the one of all generations, also after a change that was stopped half-way.
fn the_passphrase_is_changed(world: &World) {
    let path = |name: &str| world.path(name).display().to_string();
    let change = || {
        let new =
            ["store", "key", "add", "--new-passphrase-file", &path("other-word.txt"), "--passphrase-file"];
        world.run(&new, "word.txt")
    };
    let list = |word: &str| world.run(&["store", "key", "list", "--passphrase-file"], word);
    let mut wrapped = world.files("keys");
    wrapped.retain(|file| file.extension().is_some_and(|holder| holder == "passphrase"));
    let before = std::fs::read(&wrapped[0]).unwrap();
    change().assert_code(0).assert_says("another passphrase opens 2 key generations now");
    list("word.txt").assert_code(1);
    list("other-word.txt").assert_code(0);
    std::fs::write(&wrapped[0], before).unwrap();
    list("other-word.txt").assert_code(1);
    change().assert_code(0);
    let (run, found) = world.restore(&["--passphrase-file"], "other-word.txt");
    run.assert_code(0);
    assert_eq!(found, world.expected());
}

/// Of two rotations at the same time at most one is made; what an older dbhaul has forked is read and mended.
fn rotations_at_the_same_time(world: &World) {
    let me = world.path("me.txt").display().to_string();
    let out = |number: u32| world.path(&format!("rotated-{number}.json"));
    let rotate = |number: u32| {
        let file = out(number).display().to_string();
        world.command(&[
            "store",
            "key",
            "rotate",
            "--recipient",
            &world.recipient,
            "--identity-file",
            &me,
            "--writer-key-out",
            &file,
        ])
    };
    let with_me = |arguments: &[&str]| world.command(&[arguments, &["--identity-file", &me]].concat()).run();
    let before = world.files("keys").len();
    let runs =
        [1, 2].map(|number| (number, rotate(number).spawn())).map(|(number, run)| (number, run.wait()));
    for (number, run) in &runs {
        if run.code != Some(0) {
            run.assert_code(1).assert_stderr_has(&["another rotation has put key generation"]);
        }
        assert_eq!(out(*number).exists(), run.code == Some(0), "{run}");
    }
    // one that begins when the other has ended follows it
    let made = runs.iter().filter(|(_, run)| run.code == Some(0)).count();
    assert_eq!(world.files("keys").len(), before + made);
    let listed = with_me(&["store", "key", "list"]);
    listed.assert_code(0);
    assert!(!listed.stderr.contains("remove-generation"), "{listed}");
    rotate(3).run().assert_code(0);
    world.dump("rotated-3.json").assert_code(0);

    let (previous, newest) = last_generations(world);
    let fork = put_beside(world, &previous);
    let listed = with_me(&["store", "key", "list"]);
    listed.assert_code(0).assert_stderr_has(&["follow the same one", "remove-generation"]);
    assert_eq!(listed.stdout.matches("one of two that follow the same generation").count(), 2, "{listed}");
    let (run, found) = world.restore(&["--identity-file"], "me.txt");
    run.assert_code(0);
    assert_eq!(found, world.expected());
    let stale = world.dump("rotated-3.json");
    stale.assert_code(1).assert_stderr_has(&[fork.as_str()]);
    rotate(4).run().assert_code(1).assert_stderr_has(&["follow the same one"]);
    assert!(!out(4).exists());
    let remove = |generation: &str| with_me(&["store", "key", "remove-generation", generation]);
    remove(&newest).assert_code(1).assert_stderr_has(&["is encrypted to key generation"]);
    let previous = previous.id().to_string();
    remove(&previous).assert_code(1).assert_stderr_has(&["another key generation of"]);
    remove(&fork).assert_code(0);
    world.dump("rotated-3.json").assert_code(0);
    remove(&newest).assert_code(1).assert_stderr_has(&["no two key generations"]);
}

/// The generation before the newest one, and the name of the newest.
fn last_generations(world: &World) -> (Generation, String) {
    let files = world.files("keys");
    let [.., previous, newest] = &files[..] else { panic!("two generations") };
    let name = |file: &Path| format!("keys/{}", file.file_name().unwrap().to_str().unwrap());
    let mut reader = ReaderKeys::default();
    let identity = std::fs::read_to_string(world.path("me.txt")).unwrap();
    reader.add_identities(&Secret::new(identity)).unwrap();
    let (id, holder) = keys::parse_wrapped_key(&name(previous)).unwrap();
    let opened = Generation::unwrap((id, &holder), &std::fs::read(previous).unwrap(), &reader).unwrap();
    (opened, keys::parse_wrapped_key(&name(newest)).unwrap().0.to_string())
}

/// Puts another generation into the store that follows this one, as two rotations at the same time once did.
fn put_beside(world: &World, previous: &Generation) -> String {
    let (id, _) = keys::parse_wrapped_key("keys/7ZZZZZZZZZ000000000000000A.nobody").unwrap();
    let fork = Generation::generate(id, previous.store(), Some(previous)).unwrap();
    let (key, bytes) = fork.wrap(&Holder::Recipient(world.recipient.parse().unwrap())).unwrap();
    std::fs::write(world.store().join(key), bytes).unwrap();
    id.to_string()
}
