//! The documents: links lead somewhere, the guide lists its pages, and the README stays short.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The most lines of README.md, which people read once.
const README_LINES: usize = 200;

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().unwrap()
}

/// The Markdown files of a directory and those below it.
fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let of_entry = |path: PathBuf| match path.is_dir() {
        true => below(&path),
        false if path.extension().is_some_and(|extension| extension == "md") => vec![path],
        false => Vec::new(),
    };
    entries.flat_map(of_entry).collect()
}

fn documents() -> Vec<PathBuf> {
    let root = root();
    let top = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let top = top.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    top.chain(below(&root.join("docs"))).collect()
}

/// The lines of a document outside of fenced code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// What the links of a document name: `[text](here)`.
fn links(text: &str) -> Vec<String> {
    let starts = |line: &str| line.split("](").skip(1).map(str::to_owned).collect::<Vec<_>>();
    let joined: Vec<String> = prose(text).flat_map(starts).collect();
    joined.iter().filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors that a document's headings have: lower case, spaces as hyphens, without punctuation.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let plain = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// What is wrong with a link of a document, if anything.
fn dead(document: &Path, link: &str) -> Option<String> {
    if ["https://", "http://"].iter().any(|scheme| link.starts_with(scheme)) {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { document.to_owned() } else { document.parent().unwrap().join(file) };
    let missing = || format!("{}: {link}", document.display());
    if !path.exists() {
        return Some(missing());
    }
    let found =
        anchor.is_none_or(|anchor| anchors(&std::fs::read_to_string(&path).unwrap()).contains(anchor));
    (!found).then(missing)
}

#[test]
fn no_link_is_dead() {
    let of_document = |document: &PathBuf| {
        let links = links(&std::fs::read_to_string(document).unwrap());
        links.iter().map(|link| (document.clone(), link.clone())).collect::<Vec<_>>()
    };
    let all: Vec<(PathBuf, String)> = documents().iter().flat_map(of_document).collect();
    assert!(all.len() > 50, "{} links found", all.len());
    let dead: Vec<String> = all.iter().filter_map(|(document, link)| dead(document, link)).collect();
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn the_guide_lists_each_of_its_pages() {
    let guide = root().join("docs/guide");
    let listed: BTreeSet<String> =
        links(&std::fs::read_to_string(guide.join("SUMMARY.md")).unwrap()).into_iter().collect();
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let pages: BTreeSet<String> =
        below(&guide).into_iter().map(name).filter(|name| name != "SUMMARY.md").collect();
    assert_eq!(listed, pages);
}

#[test]
fn the_readme_is_short() {
    let lines = std::fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
}
