//! Tells the program its version: with the commit that it is built from and that commit's date, where they are known.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let package = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = match commit() {
        Some(commit) => format!("{package} ({commit})"),
        None => package,
    };
    println!("cargo::rustc-env=DBHAUL_VERSION={version}");
    println!("cargo::rerun-if-env-changed=DBHAUL_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
}

/// The commit and its date: what `DBHAUL_COMMIT` says, for those who build packages without a repository, else
/// what the repository of this workspace says. Nothing where there is neither: a tarball builds too.
fn commit() -> Option<String> {
    if let Ok(commit) = std::env::var("DBHAUL_COMMIT") {
        return Some(commit).filter(|commit| !commit.is_empty());
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.parent()?;
    // A repository that some directory above happens to be is not ours.
    if !workspace.join(".git").exists() {
        return None;
    }
    watch(workspace);
    git(workspace, &["log", "-1", "--date=short", "--format=%h %cd"])
}

/// Has the version told anew when another commit is checked out, or one is made.
fn watch(workspace: &Path) {
    for name in ["HEAD", "logs/HEAD"] {
        let file = git(workspace, &["rev-parse", "--git-path", name])
            .map(|path| workspace.join(PathBuf::from(path)));
        if let Some(file) = file.filter(|file| file.exists()) {
            println!("cargo::rerun-if-changed={}", file.display());
        }
    }
}

fn git(workspace: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(workspace).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
