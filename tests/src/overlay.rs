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
    // `bin`, or the directory that a package of Debian has, to which `bin` is a link
    let programs = installed.join("bin").canonicalize().expect("the installation has programs");
    let programs = programs.strip_prefix(&installed).expect("they lie in the installation");
    let make = |dir: &Path| {
        let dir = place.join(dir);
        std::fs::create_dir_all(&dir).expect("scratch is writable");
        dir
    };
    let copy = make(programs);
    link_all_but(&installed.join(programs), &copy, "postgres");
    std::fs::copy(installed.join(programs).join("postgres"), copy.join("postgres"))
        .expect("the server is readable");
    let share = match programs.strip_prefix("usr/lib/postgresql") {
        Err(_) => {
            link(&installed.join("lib"), &place.join("lib"));
            Path::new("share/postgresql").to_path_buf()
        }
        Ok(rest) => {
            let major = rest.parent().expect("the directory of a major");
            let libraries = Path::new("usr/lib/postgresql").join(major).join("lib");
            for shared in [&libraries, Path::new("usr/lib/x86_64-linux-gnu")] {
                link(&installed.join(shared), &place.join(shared));
            }
            let data = Path::new("usr/share");
            link_all_but(&installed.join(data), &make(data), "postgresql");
            link(&place.join(programs), &place.join("bin"));
            Path::new("usr/share/postgresql").join(major)
        }
    };
    link_all_but(&installed.join(&share), &make(&share), "extension");
    let extensions = make(&share.join("extension"));
    link_all_but(&installed.join(&share).join("extension"), &extensions, "");
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
