use clap::Parser;
use dbhaul_pipeline::{BackupRef, StatisticsMode, VerifySide};

use super::{Intent, Job, Request, UsageError};
use crate::args::Cli;

fn resolve(words: &str, environment: &[(&str, &str)]) -> Result<Job, UsageError> {
    let cli = Cli::read(std::iter::once("dbhaul").chain(words.split_whitespace())).unwrap().unwrap();
    let lookup = |name: &str| {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    match Intent::resolve(cli, &lookup)? {
        Intent::Run(job) => Ok(*job),
        other => panic!("{other:?}"),
    }
}

fn refuse(words: &str, environment: &[(&str, &str)], expected: &str) {
    let error = resolve(words, environment).expect_err(words).to_string();
    assert!(error.contains(expected), "{words}: {error}");
}

/// What clap itself refuses.
fn misuse(words: &str, expected: &str) {
    let parsed = Cli::try_parse_from(std::iter::once("dbhaul").chain(words.split_whitespace()));
    let error = parsed.map(|_| ()).expect_err(words);
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains(expected), "{words}: {error}");
}

/// What is typed from habit, and answered with what to do here.
fn habit(words: &str, expected: &str) {
    let read = Cli::read(std::iter::once("dbhaul").chain(words.split_whitespace()));
    let refused = read.unwrap_or_else(|error| panic!("{words}: {error}")).expect_err(words);
    assert!(refused.problem.contains(expected), "{words}: {}", refused.problem);
}

const OLD: &str = "--source postgres://app@old/shop";
const NEW: &str = "--target postgres://app@new/shop";

#[test]
fn arguments_are_consistent() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn migrate_means_everything_by_default() {
    let job = resolve(&format!("migrate {OLD} {NEW}"), &[]).unwrap();
    let Request::Migrate(request) = job.request else { panic!("{:?}", job.request) };
    assert_eq!(request.source.describe(), "old:5432/shop as app");
    assert_eq!(request.target.describe(), "new:5432/shop as app");
    assert_eq!(request.selection, dbhaul_pipeline::Selection::default());
    assert_eq!(request.options, dbhaul_pipeline::WriteOptions::default());
    assert!(request.verify && !job.dry_run && job.warnings.is_empty());
}

#[test]
fn flags_reach_the_request() {
    let flags = "-n a -N b -t c -T d -t e --exclude-table-data f --schema-only -B -O -x -c --if-exists -j 7 \
                 --no-comments --no-analyze --no-verify --allow-non-empty --dry-run";
    let job = resolve(&format!("migrate {OLD} {NEW} {flags}"), &[]).unwrap();
    let Request::Migrate(request) = job.request else { panic!("{:?}", job.request) };
    let (selection, options) = (request.selection, request.options);
    assert_eq!((selection.schemas, selection.exclude_schemas), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(
        (selection.tables, selection.exclude_tables),
        (vec!["c".into(), "e".into()], vec!["d".to_owned()])
    );
    assert_eq!(selection.exclude_table_data, ["f"]);
    assert!(selection.pre_data && !selection.data && selection.post_data && !selection.comments);
    assert!(!selection.owners && !selection.privileges && selection.large_objects == Some(false));
    assert!(!options.set_owners && !options.privileges && !request.verify && job.dry_run);
    assert_eq!(options.statistics, StatisticsMode::None);
    assert!(options.clean && options.if_exists && options.allow_non_empty && !options.resume);
    assert_eq!(options.jobs, 7);
}

#[test]
fn sections() {
    for (flags, expected) in [
        ("", (true, true, true)),
        ("-s", (true, false, true)),
        ("-a", (false, true, false)),
        ("--section pre-data,data", (true, true, false)),
        ("--section post-data", (false, false, true)),
    ] {
        let job = resolve(&format!("dump {OLD} --store s {flags}"), &[]).unwrap();
        let Request::Dump(request) = job.request else { panic!("{:?}", job.request) };
        let selection = request.selection;
        assert_eq!((selection.pre_data, selection.data, selection.post_data), expected, "{flags}");
    }
}

#[test]
fn environment_fills_in_what_flags_leave_out() {
    let environment =
        [("DBHAUL_SOURCE", "postgres://app@env/shop"), ("DBHAUL_STORE", "s3://env/shop"), ("PGPORT", "6432")];
    let job = resolve("dump", &environment).unwrap();
    let Request::Dump(request) = job.request else { panic!("{:?}", job.request) };
    assert_eq!(request.source.describe(), "env:6432/shop as app");
    assert_eq!(request.store.to_string(), "s3://env/shop/");
    let job = resolve(&format!("dump {OLD} --store here"), &environment).unwrap();
    let Request::Dump(request) = job.request else { panic!("{:?}", job.request) };
    assert_eq!(
        (request.source.describe(), request.store.to_string()),
        ("old:6432/shop as app".into(), "here".into())
    );
}

#[test]
fn libpqs_environment_names_one_side_at_most() {
    let libpq = [("PGHOST", "db"), ("PGUSER", "app"), ("PGDATABASE", "shop")];
    let job = resolve(&format!("migrate {NEW}"), &libpq).unwrap();
    let Request::Migrate(request) = job.request else { panic!("{:?}", job.request) };
    assert_eq!(request.source.describe(), "db:5432/shop as app");
    refuse("migrate", &libpq, "missing --source and --target");
    refuse("verify", &libpq, "missing --source and --target");
}

#[test]
fn what_is_missing_is_named() {
    refuse("dump", &[], "missing --source: give it, or set DBHAUL_SOURCE");
    refuse(&format!("dump {OLD}"), &[], "missing --store");
    refuse(&format!("migrate {OLD}"), &[], "missing --target");
    refuse("restore --store s", &[], "missing --target");
    refuse("backup list", &[], "missing --store");
}

#[test]
fn contradictions_are_wrong_usage() {
    misuse(&format!("dump {OLD} --store s -s -a"), "cannot be used with");
    misuse(&format!("dump {OLD} --store s -a --section data"), "cannot be used with");
    misuse(&format!("migrate {OLD} {NEW} --if-exists"), "--clean");
    misuse(&format!("migrate {OLD} {NEW} --clean --data-only"), "cannot be used with");
    misuse(&format!("migrate {OLD} {NEW} --jobs 0"), "0 is not in 1..=256");
    refuse(&format!("dump {OLD} --store s --compress 20"), &[], "20 is not in 1..=19");
    misuse("dump -q -v", "cannot be used with");
    misuse("backup show one --backup two", "cannot be used with");
    refuse(&format!("restore --store s {NEW} --resume --clean"), &[], "--resume keeps");
    refuse("migrate --source postgres://a@h/d --target postgres://b@h/d", &[], "are the same database");
    refuse(&format!("verify {OLD} {NEW} --store s"), &[], "not all three");
    refuse(&format!("verify {OLD} {NEW} --report /nowhere/at/all"), &[], "its parent does not exist");
    refuse(
        &format!("verify {OLD} {NEW} --report x.html --report proof.pdf"),
        &[],
        "proof.pdf: a name ends in .json",
    );
    refuse(&format!("verify {OLD} {NEW} --report a.md --report a.md"), &[], "a.md: is given twice");
    refuse(&format!("dump {OLD} --store s --report a.html"), &[], "this command writes .json or .txt");
    refuse("report convert a.json b.txt", &[], "is converted into .html, .md or .xml");
    misuse("report convert a.json", "required arguments were not provided");
    refuse(&format!("restore --store s {NEW} --backup ../x"), &[], "neither `latest` nor");
    refuse(&format!("dump {OLD} --store ftp://x/y"), &[], "a URL of a kind that is not known");
    refuse(&format!("verify --store s {NEW} --other-backup latest"), &[], "two sides are compared");
    refuse(
        &format!("verify --store s {OLD} --backup 01A --other-backup latest"),
        &[],
        "two sides are compared",
    );
    refuse("verify --store s --other-backup latest", &[], "are the same backup");
    refuse("verify --other-backup latest", &[], "missing --store");
    refuse(&format!("verify {OLD} --other-store t --mode deep --repair-sql f"), &[], "not for a backup");
    refuse(&format!("verify {OLD} {NEW} --repair-sql f"), &[], "needs --mode deep");
    refuse(&format!("dump {OLD} --store s3://key:secret@b/y"), &[], "credentials");
}

#[test]
fn a_created_database_may_share_its_server() {
    resolve("migrate --source postgres://a@h/d --target postgres://a@h/d --create", &[]).unwrap();
}

#[test]
fn verify_takes_two_sides() {
    let sides = |words: &str, environment: &[(&str, &str)]| {
        let job = resolve(words, environment).unwrap();
        let Request::Verify(request) = job.request else { panic!("{:?}", job.request) };
        let name = |side: VerifySide| match side {
            VerifySide::Live(settings) => settings.describe(),
            VerifySide::Backup { store, backup, .. } => format!("{store} {backup:?}"),
        };
        format!("{} ? {}", name(request.left), name(request.right))
    };
    let all = [
        ("DBHAUL_SOURCE", "postgres://app@one/shop"),
        ("DBHAUL_TARGET", "postgres://app@two/shop"),
        ("DBHAUL_STORE", "here"),
    ];
    let (one, two) = ("one:5432/shop as app", "two:5432/shop as app");
    let (old, new) = ("old:5432/shop as app", "new:5432/shop as app");
    assert_eq!(sides(&format!("verify {OLD} {NEW}"), &all), format!("{old} ? {new}"));
    assert_eq!(sides("verify", &all), format!("{one} ? {two}"));
    assert_eq!(sides("verify --backup 01A --other-backup latest", &all), "here Id(\"01A\") ? here Latest");
    assert_eq!(sides("verify --other-store there", &all), "here Latest ? there Latest");
    assert_eq!(sides(&format!("verify {OLD} --other-backup latest"), &all), format!("{old} ? here Latest"));
    assert_eq!(sides(&format!("verify {OLD} --other-store there"), &[]), format!("{old} ? there Latest"));
    assert_eq!(sides("verify", &all[1..]), format!("here Latest ? {two}"));
    assert_eq!(sides("verify --backup latest", &all), format!("here Latest ? {two}"));
    assert_eq!(sides(&format!("verify --store s {OLD}"), &all), format!("s Latest ? {old}"));
    assert_eq!(sides(&format!("verify --store s {NEW}"), &[]), format!("s Latest ? {new}"));
    assert_eq!(sides(&format!("verify --backup 01kg {NEW}"), &all), format!("here Id(\"01kg\") ? {new}"));
}

#[test]
fn backup_show_takes_an_identity_either_way() {
    for words in ["backup show 01Kg --store s", "backup show --backup 01Kg --store s"] {
        let job = resolve(words, &[]).unwrap();
        let Request::ShowBackup { backup, .. } = job.request else { panic!("{:?}", job.request) };
        assert_eq!(backup, BackupRef::Id("01Kg".to_owned()), "as it was typed, so that an error names it so");
    }
}

#[test]
fn a_password_is_warned_of_and_never_repeated() {
    let job = resolve("dump --source postgres://app:s3cret@old/shop --store s", &[]).unwrap();
    assert_eq!(job.warnings.len(), 1, "{:?}", job.warnings);
    assert!(job.warnings[0].contains("password in --source") && !job.warnings[0].contains("s3cret"));
    assert!(!format!("{job:?}").contains("s3cret"));
    let quiet = [("DBHAUL_SOURCE", "postgres://app:s3cret@old/shop")];
    assert!(resolve("dump --store s", &quiet).unwrap().warnings.is_empty());
    let error = resolve("dump --source postgres://app:s3cret@old:port/shop --store s", &[]).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn roles_are_created_only_on_request() {
    use dbhaul_pipeline::{RoleOptions, RoleScope};

    let written = |flags: &str| {
        let job = resolve(&format!("restore --store s {NEW} {flags}"), &[]).unwrap();
        let Request::Restore(request) = job.request else { panic!("{:?}", job.request) };
        request.options.roles
    };
    let recorded = |flags: &str| {
        let job = resolve(&format!("dump {OLD} --store s {flags}"), &[]).unwrap();
        let Request::Dump(request) = job.request else { panic!("{:?}", job.request) };
        request.roles
    };
    assert_eq!(written(""), RoleOptions::CREATED);
    assert_eq!(written("--roles all"), RoleOptions { scope: RoleScope::All, passwords: true });
    let without = RoleOptions { scope: RoleScope::Used, passwords: false };
    assert_eq!(written("--roles used --no-role-passwords"), without);
    assert_eq!(recorded(""), RoleOptions::RECORDED);
    assert_eq!(recorded("--roles used"), RoleOptions { scope: RoleScope::Used, passwords: true });
    assert!(!recorded("--roles all --no-role-passwords").passwords);
    misuse(&format!("dump {OLD} --store s --no-role-passwords"), "--roles");
    misuse(&format!("migrate {OLD} {NEW} --no-role-passwords"), "--roles");
    misuse(&format!("migrate {OLD} {NEW} --roles some"), "invalid value");
    refuse(&format!("verify {OLD} {NEW} --role-map /nowhere"), &[], "--role-map /nowhere:");
}

fn source(words: &str, environment: &[(&str, &str)]) -> String {
    let job = resolve(words, environment).unwrap();
    let Request::Dump(request) = job.request else { panic!("{:?}", job.request) };
    request.source.describe()
}

#[test]
fn letters_name_the_one_database_as_with_pg_dump() {
    assert_eq!(source("dump -h db -p 6432 -U me -d shop --store s", &[]), "db:6432/shop as me");
    assert_eq!(
        source("dump --host db --port 6432 --username me --dbname shop --store s", &[]),
        "db:6432/shop as me"
    );
    assert_eq!(source("dump -hdb -Ume shop --store s", &[]), "db:5432/shop as me");
    // Letters beat every variable, DBHAUL_SOURCE among them; what they leave out comes from libpq's.
    let environment = [("DBHAUL_SOURCE", "postgres://a@b/c"), ("PGHOST", "env"), ("PGUSER", "envuser")];
    assert_eq!(source("dump -d shop --store s", &environment), "env:5432/shop as envuser");
    assert_eq!(source("dump -h db -U me --store s", &environment), "db:5432/me as me");
    // A connection string beats the letters beside it.
    assert_eq!(
        source("dump -h db -U me -d postgres://you@there/shop --store s", &[]),
        "there:5432/shop as you"
    );
    assert_eq!(
        source("dump -h db -p 7 -U me -d postgres:///shop?host=there --store s", &[]),
        "there:7/shop as me"
    );
    assert_eq!(source("dump -h db -U me -d host=there --store s", &[]), "there:5432/me as me");
    // The names of keywords and what ends a value are no part of a name.
    assert_eq!(source(r"dump -h db -U it's\\me -d shop --store s", &[]), r"db:5432/shop as it's\\me");

    let job = resolve("restore --store s -h db -U me -d shop", &[("DBHAUL_TARGET", "host=other")]).unwrap();
    let Request::Restore(request) = job.request else { panic!("{:?}", job.request) };
    assert_eq!(request.target.describe(), "db:5432/shop as me");

    let job =
        resolve("verify -h db -U me -d shop", &[("DBHAUL_STORE", "s"), ("DBHAUL_TARGET", "host=o")]).unwrap();
    let Request::Verify(request) = job.request else { panic!("{:?}", job.request) };
    let VerifySide::Live(right) = request.right else { panic!("{:?}", request.right) };
    assert_eq!(right.describe(), "db:5432/shop as me");
    assert!(matches!(request.left, VerifySide::Backup { .. }));

    let job = resolve("dump -F p -h db -U me -d shop", &[]).unwrap();
    assert!(matches!(job.request, Request::Script(..)), "{:?}", job.request);
}

#[test]
fn letters_never_leave_open_which_database_is_meant() {
    refuse(&format!("dump {OLD} -h db --store s"), &[], "-h and --source both say");
    refuse(&format!("restore --store s {NEW} -d shop"), &[], "-d and --target both say");
    refuse("verify -h db", &[], "--source and --target");
    refuse(&format!("verify {OLD} -h db --store s"), &[], "--source and --target");
    refuse("dump -h db -p many -d shop --store s", &[], "port");
    misuse("dump -d one two --store s", "cannot be used with");
    for command in ["migrate", "preflight", "cleanup"] {
        for letter in ["-h db", "-p 1", "-U me", "-d shop", "--host db", "--dbname shop", "shop"] {
            habit(&format!("{command} {letter}"), "give --source and --target");
        }
    }
    habit("backup list -h db", "give --store");
}

#[test]
fn other_programs_options_are_answered() {
    habit("dump --store s -W", "PGPASSWORD");
    habit("restore --store s -1", "--resume");
    habit("restore --store s -e", "lists what failed");
    habit("restore --store s -l", "backup show --toc");
    habit("restore --store s -L list", "--filter FILE");
    habit("restore -d shop shop.dump", "give --store");
    habit("dump -E LATIN1 --store s", "UTF8");
    habit("dump -F p --inserts", "COPY");
    habit("dump --snapshot 0001 --store s", "a snapshot itself");
    resolve("dump --no-password --strict-names -w -h db --store s", &[]).unwrap();
    for archive in ["c", "custom", "d", "directory", "t", "tar"] {
        misuse(&format!("dump -F{archive} -h db --store s"), "--store for a backup");
    }
    let level = |words: &str| {
        let job = resolve(&format!("dump {OLD} --store s {words}"), &[]).unwrap();
        let Request::Dump(request) = job.request else { panic!("{:?}", job.request) };
        request.compression_level
    };
    assert_eq!(["", "-Z3", "-Zzstd", "--compress=zstd:5", "-Zzstd:level=7"].map(level), [1, 3, 1, 5, 7]);
    for other in ["gzip", "gzip:9", "lz4", "none"] {
        refuse(&format!("dump {OLD} --store s -Z {other}"), &[], "are compressed with zstd");
    }
    refuse(&format!("dump {OLD} --store s -Z 0"), &[], "not in 1..=19");
}

#[test]
fn help_has_no_letter_that_others_use() {
    for words in ["dump -?", "dump --help", "-?", "backup show -?"] {
        let error =
            Cli::read(std::iter::once("dbhaul").chain(words.split_whitespace())).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{words}");
    }
    misuse("-h", "unexpected argument");
    misuse("dump -h", "a value is required");
}

#[test]
fn cleanup_takes_either_side() {
    let sides = |words: &str| {
        let job = resolve(words, &[]).unwrap();
        let Request::Cleanup(request) = job.request else { panic!("{:?}", job.request) };
        (request.source.is_some(), request.target.is_some())
    };
    assert_eq!(sides(&format!("cleanup {OLD}")), (true, false));
    assert_eq!(sides(&format!("cleanup {NEW}")), (false, true));
    assert_eq!(sides(&format!("cleanup {OLD} {NEW} --yes")), (true, true));
    refuse("cleanup", &[], "missing --target");
}
