//! The import table of ARCHITECTURE.md against what cargo knows of the workspace.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// For each crate, the crates of this workspace that it may import. The lists are closed downward by hand:
/// what is not listed is forbidden. The same table stands in ARCHITECTURE.md.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("progress", &[]),
    ("catalog", &[]),
    ("rows", &[]),
    ("archive", &["catalog", "rows"]),
    ("store", &["progress"]),
    ("postgres", &["catalog", "rows"]),
    ("introspect", &["postgres", "catalog"]),
    ("exporter", &["progress", "catalog", "rows", "archive", "store", "postgres", "introspect"]),
    ("importer", &["progress", "catalog", "rows", "archive", "store", "postgres", "introspect"]),
    ("verifier", &["progress", "catalog", "rows", "archive", "store", "postgres", "introspect"]),
    (
        "pipeline",
        &[
            "progress",
            "catalog",
            "rows",
            "archive",
            "store",
            "postgres",
            "introspect",
            "exporter",
            "importer",
            "verifier",
        ],
    ),
    ("dbhaul", &["pipeline", "progress"]),
];

/// Crates from outside that only one of ours may name, by prefix.
const ONLY: &[(&str, &str)] = &[
    ("tokio-postgres", "postgres"),
    ("postgres-", "postgres"),
    ("aws-", "store"),
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

#[test]
fn every_crate_stands_in_the_table() {
    let known: BTreeSet<String> =
        MAY_IMPORT.iter().map(|(name, _)| *name).chain(OUTSIDE).map(str::to_owned).collect();
    assert_eq!(packages().into_keys().collect::<BTreeSet<_>>(), known);
}

#[test]
fn imports_go_downward_only() {
    let packages = packages();
    for (name, allowed) in MAY_IMPORT {
        for import in imports(&packages[*name]) {
            let ours = packages.contains_key(short(&import)) && import.starts_with("dbhaul");
            let import = short(&import);
            assert!(
                !ours || allowed.contains(&import),
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
