//! A PostgreSQL installation with further extensions, made of links to one that stays as it is.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Lays an installation at `place` over the one at `installed`, with these files (name, text) among its
/// extensions; returns `place`.
///
/// A server looks for its files beside the program that runs, symbolic links followed, so that one file
/// is a copy and all others are links.
pub(crate) fn install(installed: &Path, place: &Path, files: &[(String, String)]) -> PathBuf {
    let installed = installed.canonicalize().expect("the installation exists");
    let make = |dir: &str| {
        let dir = place.join(dir);
        std::fs::create_dir_all(&dir).expect("scratch is writable");
        dir
    };
    std::fs::copy(installed.join("bin/postgres"), make("bin").join("postgres"))
        .expect("the server is readable");
    link(&installed.join("lib"), &place.join("lib"));
    link_all_but(&installed.join("share/postgresql"), &make("share/postgresql"), "extension");
    let extensions = make("share/postgresql/extension");
    link_all_but(&installed.join("share/postgresql/extension"), &extensions, "");
    for (name, text) in files {
        std::fs::write(extensions.join(name), text).expect("scratch is writable");
    }
    place.to_path_buf()
}

fn link(original: &Path, link: &Path) {
    symlink(original, link).expect("scratch is writable");
}

fn link_all_but(from: &Path, to: &Path, left_out: &str) {
    for entry in std::fs::read_dir(from).expect("the installation is readable") {
        let name = entry.expect("the installation is readable").file_name();
        if name != *left_out {
            link(&from.join(&name), &to.join(&name));
        }
    }
}
