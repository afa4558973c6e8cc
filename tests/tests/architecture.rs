//! The import table of ARCHITECTURE.md against what cargo knows of the workspace.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Crates from outside that only one of ours may name, by prefix.
const ONLY: &[(&str, &str)] = &[
    ("age", "archive"),
    ("arrow", "columns"),
    ("parquet", "columns"),
    ("tokio-postgres", "postgres"),
    ("postgres-", "postgres"),
    ("aws-", "store"),
    ("backon", "retry"),
    ("clap", "dbhaul"),
    ("indicatif", "dbhaul"),
    ("miette", "dbhaul"),
];

/// Crates that test or measure the others, and so may import any of them.
const OUTSIDE: [&str; 2] = ["tests", "benches"];

fn short(package: &str) -> &str {
    package.strip_prefix("dbhaul-").unwrap_or(package)
}

/// The packages of the workspace by short name.
fn packages() -> BTreeMap<String, Package> {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    metadata.packages.into_iter().map(|package| (short(package.name.as_str()).to_owned(), package)).collect()
}

/// The names of what a package depends on to be built or run; its own tests may use more.
fn imports(package: &Package) -> BTreeSet<String> {
    let kinds = [DependencyKind::Normal, DependencyKind::Build];
    package.dependencies.iter().filter(|d| kinds.contains(&d.kind)).map(|d| d.name.clone()).collect()
}

/// For each crate, the crates of this workspace that it may import, as the table "Who may import whom" of
/// ARCHITECTURE.md has it.
fn may_import() -> BTreeMap<String, BTreeSet<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n## Who may import whom\n").unwrap();
    let rows = section.lines().take_while(|line| !line.starts_with("## ")).filter_map(row);
    let rows: Vec<(u32, Vec<&str>, &str)> = rows.collect();
    let below = |level: u32| {
        let lower = rows.iter().filter(move |row| row.0 < level);
        lower.flat_map(|row| row.1.iter().map(|name| (*name).to_owned())).collect::<BTreeSet<_>>()
    };
    let allowed = |level: u32, words: &str| match words.split(';').next().unwrap() {
        "nothing of ours" => BTreeSet::new(),
        "anything below" => below(level),
        names => names.split(", ").map(str::to_owned).collect(),
    };
    let of_row = |(level, names, words): &(u32, Vec<&str>, &str)| {
        let allowed = allowed(*level, words);
        assert!(
            allowed.is_subset(&below(*level)),
            "level {level} of ARCHITECTURE.md imports upward: {words}"
        );
        names.iter().map(|name| ((*name).to_owned(), allowed.clone())).collect::<Vec<_>>()
    };
    rows.iter().flat_map(of_row).collect()
}

/// Level, crates and what they may import, of a row of the table; `None` for its head and the text around it.
fn row(line: &str) -> Option<(u32, Vec<&str>, &str)> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [level, crates, may_import] = cells[..] else { return None };
    let crates = crates.split(", ").map(|name| name.strip_prefix("bin/").unwrap_or(name)).collect();
    Some((level.parse().ok()?, crates, may_import))
}

#[test]
fn every_crate_stands_in_the_table() {
    let known: BTreeSet<String> = may_import().into_keys().chain(OUTSIDE.map(str::to_owned)).collect();
    assert_eq!(packages().into_keys().collect::<BTreeSet<_>>(), known);
}

#[test]
fn imports_go_downward_only() {
    let packages = packages();
    for (name, allowed) in may_import() {
        for import in imports(&packages[&name]) {
            let ours = packages.contains_key(short(&import)) && import.starts_with("dbhaul");
            let import = short(&import);
            assert!(
                !ours || allowed.contains(import),
                "{name} imports {import}, which ARCHITECTURE.md forbids"
            );
        }
    }
}

#[test]
fn only_one_crate_names_each_outside_world() {
    for (name, package) in packages() {
        for import in imports(&package) {
            for (prefix, owner) in ONLY {
                let foreign =
                    import.starts_with(prefix) && name != *owner && !OUTSIDE.contains(&name.as_str());
                assert!(!foreign, "{name} names {import}, which belongs to {owner}");
            }
        }
    }
}

#[test]
fn only_the_binary_prints() {
    for (name, package) in packages() {
        if name == "dbhaul" || OUTSIDE.contains(&name.as_str()) {
            continue;
        }
        for source in rust_files(package.manifest_path.parent().unwrap().join("src").as_std_path()) {
            let text = std::fs::read_to_string(&source).unwrap();
            let printing = ["println!(", "eprintln!(", "std::env::args"].iter().any(|word| {
                text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word))
            });
            assert!(!printing, "{} prints or reads arguments", source.display());
        }
    }
}

fn rust_files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
