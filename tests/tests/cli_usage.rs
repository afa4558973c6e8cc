//! The command line by itself: help, manual, completions, and arguments that make no sense.

use dbhaul_tests::Dbhaul;

const COMMANDS: [&str; 8] =
    ["preflight", "dump", "restore", "migrate", "verify", "backup", "completions", "man"];

/// The password of every connection string here: it must never be printed.
const SECRET: &str = "hunter2marker";

/// A recipient of age, that of its manual.
const AGE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

#[test]
fn help_teaches() {
    let help = Dbhaul::new(["--help"]).run();
    help.assert_code(0);
    for text in COMMANDS.into_iter().chain(["Exit codes:", "130  interrupted", "DBHAUL_SOURCE", "NO_COLOR"]) {
        assert!(help.stdout.contains(text), "no {text:?}\n{help}");
    }
    assert_eq!(help.stderr, "");
    for command in &COMMANDS[..5] {
        let help = Dbhaul::new([command, "--help"]).run();
        help.assert_code(0);
        assert!(help.stdout.contains("Examples:") && help.stdout.contains("--progress"), "{help}");
    }
}

#[test]
fn version_is_printed() {
    let version = Dbhaul::new(["--version"]).run();
    version.assert_code(0);
    assert!(version.stdout.starts_with("dbhaul 0."), "{version}");
    // What is built of a repository names the commit and its date; a tarball builds too, and says less.
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.git");
    if repository.exists() {
        let (_, commit) = version.stdout.trim_end().split_once(" (").unwrap_or_else(|| panic!("{version}"));
        let (hash, date) = commit.strip_suffix(')').unwrap().split_once(' ').unwrap();
        assert!(hash.len() >= 7 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{version}");
        assert_eq!(date.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2], "{version}");
    }
}

#[test]
fn nothing_at_all_is_answered_with_help() {
    Dbhaul::new([""; 0]).run().assert_code(2).assert_stderr_has(&["Usage: dbhaul <COMMAND>", "Examples:"]);
}

/// A cron line that does nothing must not be green.
#[test]
fn no_command_succeeds_without_its_work() {
    let commands = [
        "dump",
        "restore",
        "migrate",
        "preflight",
        "verify",
        "cleanup",
        "backup",
        "backup list",
        "backup check",
        "backup show",
        "backup export",
        "store",
        "store init",
        "store key",
        "store key list",
        "store key rotate",
        "store recovery-kit",
        "store probe",
        "completions",
        "hold-snapshot x",
    ];
    for command in commands {
        for habit in
            ["", "-h", "-h db", "-h db -p 5432 -U app", "-Fc -f shop.dump", "-1", "-W", "--no-such-option"]
        {
            let run = Dbhaul::new(format!("{command} {habit}").split_whitespace()).run();
            run.assert_code(2);
            assert_eq!(run.stdout, "", "{run}");
        }
    }
}

#[test]
fn manual_and_completions_cover_every_command() {
    let page = Dbhaul::new(["man", "backup", "show"]).run();
    page.assert_code(0).assert_says(".TH dbhaul-backup-show").assert_says("pg_restore");
    assert!(!page.stdout.contains(".TH dbhaul-restore"), "{page}");
    let manual = Dbhaul::new(["man"]).run();
    manual.assert_code(0);
    for command in COMMANDS {
        let title = format!(".TH dbhaul\\-{command} 1").replace("\\-", "-");
        let printed = manual.stdout.replace("\\-", "-");
        assert!(printed.contains(&title), "no page of {command}\n{manual}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Dbhaul::new(["completions", shell]).run();
        script.assert_code(0);
        for command in COMMANDS {
            assert!(script.stdout.contains(command), "{shell}: no {command}");
        }
    }
}

#[test]
fn manual_pages_are_written_into_a_directory() {
    let dir = tempfile::TempDir::new().unwrap();
    let pages = dir.path().join("man1");
    Dbhaul::new(["man", "--dir", pages.to_str().unwrap()]).run().assert_code(0);
    for page in ["dbhaul.1", "dbhaul-restore.1", "dbhaul-backup-list.1"] {
        assert!(pages.join(page).metadata().unwrap().len() > 100, "{page}");
    }
    let names = std::fs::read_dir(&pages).unwrap().map(|page| page.unwrap().file_name());
    let other: Vec<_> = names.filter(|name| name.to_string_lossy().contains("-h")).collect();
    assert!(other.is_empty(), "pages of what is not called by people: {other:?}");
}

#[test]
fn quickstart_takes_one_option_at_a_time() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/quickstart");
    let run = std::process::Command::new("bash").arg(script).args(["--keep", "--stop"]).output().unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(String::from_utf8_lossy(&run.stderr).contains("one option at a time"), "{run:?}");
}

#[test]
fn wrong_usage_is_told_and_ends_with_2() {
    let uri = format!("postgres://app:{SECRET}@127.0.0.1:1/shop");
    let other = format!("host=127.0.0.1 port=2 user=app dbname=shop password={SECRET}");
    for (arguments, expected) in [
        (vec!["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (vec!["dump", &uri], "missing --store: give it, or set DBHAUL_STORE"),
        (vec!["backup", "list", &uri], "unexpected argument '***'"),
        (vec!["store", "init", "s"], "say who can read the backups"),
        (vec!["store", "init", "s", "--recipient", AGE], "--writer-key-out is missing"),
        (vec!["store", "init", "s", "--recipient", SECRET], "a recipient of age starts with age1"),
        (vec!["store", "init", "s", "--recipient", AGE, "--unencrypted"], "cannot be used with"),
        (
            vec!["backup", "list", "--store", "s", "--identity-command", "false"],
            "the command ended with exit status 1",
        ),
        (vec!["backup", "list", "--store", "s", "--store-fingerprint", "x"], "one has 32 hexadecimal digits"),
        (vec!["preflight", "--source", &uri, "--writer-key", "w"], "is for an encrypted store: give --store"),
        (vec!["dump", "--source", &uri], "missing --store: give it, or set DBHAUL_STORE"),
        (vec!["migrate", "--source", &uri], "missing --target"),
        (vec!["migrate", "--source", &uri, "--target", &uri], "are the same database"),
        (vec!["migrate", "--source", &uri, "--target", &other, "-s", "-a"], "cannot be used with"),
        (vec!["migrate", "--source", &uri, "--target", &other, "--if-exists"], "--clean"),
        (vec!["migrate", "--source", &uri, "--target", &other, "-j", "0"], "1..=256"),
        (
            vec!["dump", "--source", "hots=db", "--store", "s"],
            "keyword 1 of the connection string is unknown; was host meant?",
        ),
        (vec!["dump", "--source", &uri, "--store", "gopher://x"], "a URL of a kind that is not known"),
        (vec!["restore", "--store", "s", "--target", &uri, "--backup", "../x"], "neither `latest` nor"),
        (vec!["restore", "--store", "s", "--target", &uri, "--progress", "loud"], "[possible values: auto,"),
        (vec!["verify", "--source", &uri, "--report", "/no/such/dir/r.txt", "--target", &other], "--report"),
    ] {
        let run = Dbhaul::new(&arguments).run();
        run.assert_code(2).assert_stderr_has(&["error: ", expected]);
        assert_eq!(run.stdout, "", "{run}");
        assert!(!run.stderr.contains(SECRET), "a password was printed\n{}", run.stderr);
    }
}

#[test]
fn libpqs_environment_alone_never_names_both_sides() {
    let run = Dbhaul::new(["migrate"]).env("PGHOST", "127.0.0.1").env("PGUSER", "app").run();
    run.assert_code(2).assert_stderr_has(&["missing --source and --target"]);
}
