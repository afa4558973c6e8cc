use std::time::Duration;

use dbhaul_pipeline::{CheckLevel, CheckSubset, Overlap};

use super::{Config, ConfigError, File};

fn config(text: &str) -> Config {
    let File { profile } = toml::from_str(text).unwrap();
    Config { file: "dbhaul.toml".into(), profiles: profile }
}

fn problem(text: &str) -> String {
    match config(text).job("shop", &environment) {
        Err(ConfigError::Profile { problem, .. }) => problem,
        // a backup is made nevertheless
        Ok(job) if !job.notify_problems.is_empty() => job.notify_problems.join("; "),
        other => panic!("{other:?}"),
    }
}

fn environment(name: &str) -> Option<String> {
    (name == "SHOP").then(|| "postgres://app:s3cret@db/shop".to_owned())
}

#[test]
fn a_profile_makes_a_job() {
    let config = config(
        r#"
        [profile.shop]
        source = { env = "SHOP" }
        databases = ["app_*"]
        store = "/backups"
        dump = ["--jobs=3", "--exclude-table-data", "audit.*", "--tag", "nightly"]
        overlap = "wait"
        check = { level = 2, subset = "5%" }
        [profile.shop.keep]
        checked = true
        daily = 7
        yearly = "unlimited"
        within = "2d"
        time-zone = "Europe/Berlin"
        [profile.shop.notify]
        ping = { command = "echo https://hc.example/uuid" }
        metrics-file = "/var/lib/metrics/dbhaul.prom"
        "#,
    );
    let job = config.job("shop", &environment).unwrap();
    assert_eq!(
        (job.dump.source.database(), job.dump.jobs, job.dump.tags),
        ("shop", 3, vec!["nightly".to_owned()])
    );
    assert_eq!((job.databases, job.overlap), (vec!["app_*".to_owned()], Overlap::Wait));
    assert_eq!(job.notify.ping.unwrap().host(), "hc.example");
    // who forgets wants the space
    assert_eq!(job.prune, Some(Duration::from_secs(23 * 3600)));
    let keep = job.keep.unwrap();
    assert!(keep.within.is_some() && keep.only_checked);
    let check = job.check.unwrap();
    assert_eq!((check.level, check.subset), (CheckLevel::Rows, Some(CheckSubset::OfDay { of: 20 })));
}

#[test]
fn a_backup_is_checked_unless_that_is_turned_off() {
    let check = |more: &str| {
        let text = format!("[profile.shop]\nsource = {{ env = \"SHOP\" }}\nstore = \"/backups\"\n{more}");
        config(&text).job("shop", &environment).unwrap().check.map(|check| check.level)
    };
    assert_eq!(check(""), Some(CheckLevel::Hashes));
    assert_eq!(check("check = true"), Some(CheckLevel::Hashes));
    assert_eq!(check("check = { level = 0 }"), Some(CheckLevel::References));
    assert_eq!(check("check = false"), None);
}

#[test]
fn what_cannot_be_used_is_named_and_no_secret_is_shown() {
    let with =
        |more: &str| format!("[profile.shop]\nsource = {{ env = \"SHOP\" }}\nstore = \"/backups\"\n{more}");
    for (more, expected) in [
        ("dump = [\"--no-such\"]", "--no-such"),
        ("dump = [\"--format=sql\"]", "dump: a job makes backups in a store"),
        ("dump = [\"--jobs 4\"]", "unexpected argument '--jobs ***'"),
        ("dump = [\"--dry-run\"]", "makes no backup"),
        ("dump = [\"--source=postgres://x:hidden@y/z\"]", "--source"),
        ("keep = { daily = 0 }", "keep: no rule"),
        ("keep = { within = \"soon\" }", "not a span"),
        ("check = { level = 4 }", "check: there is no level 4"),
        ("check = { level = 3 }", "check: level 3 is not for a job"),
        ("check = { level = 0 }\nkeep = { last = 3, checked = true }", "keep.checked: nothing would ever"),
        ("check = { level = 0, subset = \"5%\" }", "check: subset is for levels 1 and 2"),
        ("check = { subset = \"5\" }", "check: \"5\" is no part"),
        ("keep = { last = 3, time-zone = \"Mars\" }", "no time zone"),
        ("notify = { ping = \"hc.example/uuid-hidden\" }", "notify.ping: not an http"),
        ("notify = { webhook = { env = \"NOT_SET\" } }", "NOT_SET is not set"),
        ("notify = { webhook = { command = \"false hidden\" } }", "the command ended with exit status 1"),
        ("databases = [\"\"]", "names none"),
        ("databases = []", "names none"),
    ] {
        let problem = problem(&with(more));
        assert!(problem.contains(expected), "{more}: {problem}");
        assert!(!problem.contains("hidden") && !problem.contains("s3cret"), "{more}: {problem}");
    }
}

#[test]
fn mistakes_are_told_by_line_and_by_what_belongs_there() {
    let profile = "[profile.shop]\nsource = \"x\"\nstore = \"/b\"\n";
    for (text, expected) in [
        (format!("{profile}[profile.shop.keep]\ndaily = -3\n"), "line 5: expected a number of backups"),
        (format!("{profile}kep = 1\n"), "line 4: there is no key `kep` here: expected one of `source`"),
        ("[profile.shop\n".to_owned(), "line 1: expected `]`"),
        (format!("{profile}prune = 'soon'\n"), "line 4: expected true, false, or a table with grace-hours"),
        (format!("{profile}check = 7\n"), "line 4: expected true, false, or a table with level and subset"),
    ] {
        let told = super::told(&toml::from_str::<File>(&text).unwrap_err(), &text);
        assert!(told.starts_with(expected), "{text}: {told}");
    }
    assert_eq!(problem("[profile.shop]\nstore = \"/b\"\n"), "source is missing");
    assert_eq!(problem("[profile.shop]\nsource = { env = \"SHOP\" }\n"), "store is missing");
}

#[test]
fn unknown_keys_are_errors_and_lines_with_passwords_are_not_shown() {
    let text = "[profile.shop]\nsource = \"postgres://a:s3cret@b/c\"\nstore = \"/b\"\nkep = 1\n";
    let error = toml::from_str::<File>(text).unwrap_err();
    let told = super::told(&error, text);
    assert!(told.contains("kep") && told.starts_with("line 4"), "{told}");
    for key in ["notify = \"https://hc.example/s3cret\"", "dump = \"--source=postgres://a:s3cret@b/c\""] {
        let text = format!("[profile.shop]\nsource = \"x\"\nstore = \"/b\"\n{key}\n");
        let told = super::told(&toml::from_str::<File>(&text).unwrap_err(), &text);
        assert!(told.starts_with("line 4") && !told.contains("s3cret"), "{told}");
    }
    // values with quotes in them, variants and numbers are values all the same
    for line in [
        "dump = 'host=h password=\"s3cret\" x'",
        "overlap = 's3cret'",
        "prune = 's3cret'",
        "databases = \"a\\\"s3cret\"",
    ] {
        let text = format!("[profile.shop]\nsource = \"x\"\nstore = \"/b\"\n{line}\n");
        let told = super::told(&toml::from_str::<File>(&text).unwrap_err(), &text);
        assert!(told.starts_with("line 4") && !told.contains("s3cret"), "{told}");
    }
    let text = "[profile.shop]\nsource = \"postgres://a:s3cret@b/c\nstore = \"/b\"\n";
    let told = super::told(&toml::from_str::<File>(text).unwrap_err(), text);
    assert!(!told.contains("s3cret"), "{told}");
}
