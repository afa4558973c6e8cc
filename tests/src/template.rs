//! Data directories made once by `initdb` and copied for each server.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Encoding;
use crate::places;

/// The template of an installed server in an encoding. Templates with different numbers carry different system
/// identifiers, which two servers that take part in one test must have.
pub(crate) fn data_dir(installed: &Path, encoding: Encoding, number: usize) -> PathBuf {
    let name = || installed.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let version = std::fs::read_to_string(installed.join(".version")).unwrap_or_else(|_| name());
    let templates = places::scratch().join("templates");
    std::fs::create_dir_all(&templates).expect("scratch is writable");
    let name = format!("{}-{}-{number}", version.trim(), encoding.name());
    let dir = templates.join(&name);
    // Tests are processes of their own; the first that needs a template makes it while the others wait.
    let lock = File::create(templates.join(format!("{name}.lock"))).expect("scratch is writable");
    lock.lock().expect("scratch supports locks");
    if !dir.exists() {
        initdb(installed, encoding, &templates.join(format!("{name}.new")), &dir);
    }
    dir
}

fn initdb(installed: &Path, encoding: Encoding, unfinished: &Path, finished: &Path) {
    let _ = std::fs::remove_dir_all(unfinished);
    places::create_server_dir(unfinished);
    let words = places::server_command(&installed.join("bin/initdb"));
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", encoding.name()])
        .arg(format!("--locale={}", encoding.locale()))
        .arg("-D")
        .arg(unfinished)
        .env("LC_ALL", "C")
        .current_dir(unfinished);
    places::run(&mut command);
    std::fs::rename(unfinished, finished).expect("both lie in the same directory");
}
