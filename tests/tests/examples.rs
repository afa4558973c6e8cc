//! What examples/ holds is tried: the policies on a server that keeps to them, the units by systemd, the YAML by schemas,
//! and the command of each in a run of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use dbhaul_tests::{Dbhaul, Finished, S3Directory, Server, dbhaul_program, python_program};
use tempfile::TempDir;

/// Where the examples look for the configuration, and for what it names.
const CONFIG: &str = "/etc/dbhaul/dbhaul.toml";
const ENVIRONMENT: &str = "/etc/dbhaul/environment";

fn example(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(example(name)).unwrap()
}

/// A writer that cannot delete what it has written, and a pruner that cannot write backups.
#[test]
fn the_policies_are_enough_and_no_more() {
    let policy = |name: &str| serde_json::from_str(&text(name)).unwrap();
    let s3 = S3Directory::with_users(&[
        ("WRITER", policy("iam/writer.json")),
        ("PRUNER", policy("iam/pruner.json")),
    ]);
    let bucket = s3.create_bucket("backups");
    let server = Server::start(17);
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE sale AS SELECT i, md5(i::text) FROM generate_series(1, 1000) i");
    let url = s3.endpoint().store_url("backups", "shop");
    let run = |endpoint: &dbhaul_tests::S3Endpoint, arguments: &[&str]| {
        Dbhaul::new(arguments.iter().copied()).arg("--store").arg(&url).envs(endpoint.env()).run()
    };
    let writer = |arguments: &[&str]| run(&s3.endpoint_of("WRITER"), arguments);
    let pruner = |arguments: &[&str]| run(&s3.endpoint_of("PRUNER"), arguments);
    let refused = |ended: Finished| {
        ended.assert_code(1).assert_stderr_has(&["access to bucket \"backups\" is denied"]);
    };
    refused(writer(&["store", "init", "--unencrypted"]));
    run(s3.endpoint(), &["store", "init", "--unencrypted"]).assert_code(0);
    let source = server.uri("shop");
    for format in [&["--format", "parquet"][..], &[], &[]] {
        server.psql("shop", "UPDATE sale SET md5 = md5(md5)");
        writer(&[&["dump", "--source", &source], format].concat()).assert_code(0);
    }
    writer(&["backup", "check", "--all"]).assert_code(0);
    writer(&["backup", "list"]).assert_code(0);
    refused(writer(&["backup", "forget", "--keep-last", "1"]));
    refused(writer(&["backup", "prune"]));
    refused(pruner(&["dump", "--source", &source]));
    let list = |count| {
        let listed = pruner(&["backup", "list", "--json"]).assert_code(0).json();
        assert_eq!(listed.as_array().map(Vec::len), Some(count), "{listed}");
    };
    list(3);

    pruner(&["backup", "pin", "latest"]).assert_code(0);
    pruner(&["backup", "unpin", "latest"]).assert_code(0);
    pruner(&["backup", "forget", "--keep-last", "1"]).assert_code(0);
    list(1);
    let prune = || pruner(&["backup", "prune", "--grace-hours", "0", "--json"]).assert_code(0).json();
    age(&bucket);
    let marked = prune();
    age(&bucket);
    let removed = prune();
    for what in ["/marked/count", "/parts/marked/count"] {
        let count = marked.pointer(what).and_then(serde_json::Value::as_u64);
        assert!(count > Some(0), "{what}: {marked}");
        assert_eq!(removed.pointer(&what.replace("marked", "removed")), marked.pointer(what), "{removed}");
    }
    writer(&["backup", "check", "--level", "2"]).assert_code(0);
    writer(&["dump", "--source", &source]).assert_code(0);
    list(2);
}

/// Lets files be of the day before.
fn age(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
            continue;
        }
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
    }
}

/// What whoever starts a job of the examples runs: the words after the program's name.
fn commands() -> Vec<(&'static str, Vec<String>)> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let service = text("dbhaul.service");
    let exec =
        service.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/dbhaul ")).unwrap();
    let yaml = "
import json, sys, yaml
job, compose = (yaml.safe_load(open(name)) for name in sys.argv[1:])
container = job['spec']['jobTemplate']['spec']['template']['spec']['containers'][0]
print(json.dumps([container['args'], compose['services']['backup']['command']]))";
    let read = python(yaml, &["cronjob.yaml", "compose.yaml"]);
    let [job, compose]: [Vec<String>; 2] = serde_json::from_str(&read).unwrap();
    vec![("dbhaul.service", words(exec)), ("cronjob.yaml", job), ("compose.yaml", compose)]
}

/// Runs a program in Python on some of the examples; what it prints.
fn python(program: &str, examples: &[&str]) -> String {
    let run = Command::new(python_program())
        .args(["-c", program])
        .args(examples.iter().map(|name| example(name)))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn each_command_runs_the_jobs() {
    let server = Server::start(17);
    server.create_db("shop");
    server.psql("shop", "CREATE TABLE sale AS SELECT 1 AS i");
    let place = TempDir::new().unwrap();
    let (config, environment) = (place.path().join("dbhaul.toml"), place.path().join("environment"));
    let profile = format!(
        "[profile.shop]\nsource = {{ env = \"SHOP_URL\" }}\nstore = {:?}\n",
        place.path().join("store").display().to_string()
    );
    std::fs::write(&config, profile).unwrap();
    let backups = || std::fs::read_dir(place.path().join("store/backups/shop")).unwrap().count();
    for (number, (name, arguments)) in commands().into_iter().enumerate() {
        assert!(arguments.iter().any(|argument| argument == CONFIG), "{name}: {arguments:?}");
        let here = arguments.iter().map(|argument| match argument.as_str() {
            CONFIG => config.display().to_string(),
            other => other.to_owned(),
        });
        Dbhaul::new(here).env("SHOP_URL", server.uri("shop")).run().assert_code(0);
        assert_eq!(backups(), number + 1, "{name}");
    }

    // five fields of time, a user, and what sh is given
    let crontab = text("crontab");
    let line = crontab.lines().find(|line| line.starts_with(|first: char| first.is_ascii_digit())).unwrap();
    let fields: Vec<&str> = line.splitn(7, ' ').collect();
    assert_eq!((&fields[2..5], fields[5]), (&["*"; 3][..], "backup"), "{line}");
    assert!(fields[0].parse::<u8>().unwrap() < 60 && fields[1].parse::<u8>().unwrap() < 24, "{line}");
    let variables = format!("SHOP_URL='{}'\nDBHAUL_CONFIG='{}'\n", server.uri("shop"), config.display());
    std::fs::write(&environment, variables).unwrap();
    let command = fields[6].replace(ENVIRONMENT, &environment.display().to_string());
    assert!(command != fields[6] && !command.contains('%'), "{line}");
    let before = backups();
    let path = format!("{}:/usr/bin:/bin", dbhaul_program().parent().unwrap().display());
    let run = Command::new("sh").args(["-c", &command]).env("PATH", path).output().unwrap();
    // cron mails whatever is printed
    assert!(run.status.success() && run.stdout.is_empty() && run.stderr.is_empty(), "{run:?}");
    assert_eq!(backups(), before + 1);
}

#[test]
fn systemd_and_schemas_take_the_units_and_the_yaml() {
    let place = TempDir::new().unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for name in ["dbhaul.service", "dbhaul.timer"] {
        let unit = place.path().join(name);
        let here = text(name).replace("/usr/local/bin/dbhaul", dbhaul_program().to_str().unwrap());
        std::fs::write(&unit, here).unwrap();
        verify.arg(unit);
    }
    // it warns of what it does not know, and ends with 0
    let verified = verify.output().expect("systemd-analyze is installed: run scripts/test");
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");

    let schemas = "
import sys, yaml, kubernetes_validate, compose_spec
job, compose = (open(name).read() for name in sys.argv[1:])
kubernetes_validate.validate(yaml.safe_load(job), '1.35', strict=True)
try:
    kubernetes_validate.validate(yaml.safe_load(job.replace('schedule:', 'scedule:')), '1.35', strict=True)
    sys.exit('the schema of a CronJob takes anything')
except kubernetes_validate.ValidationError:
    pass
compose_spec.PyCompose.from_yaml(compose).validate()
try:
    compose_spec.PyCompose.from_yaml(compose.replace('mem_limit', 'memlimit')).validate()
    sys.exit('the schema of Compose takes anything')
except ValueError:
    pass";
    python(schemas, &["cronjob.yaml", "compose.yaml"]);
}
