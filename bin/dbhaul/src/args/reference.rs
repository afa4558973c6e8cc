//! `docs/reference/cli.md`, which holds the help of every command, against the commands themselves.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::Cli;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");

/// Set, it has the test write the file instead of comparing it.
const UPDATE: &str = "DBHAUL_UPDATE_REFERENCE";

const HEAD: &str = "# Commands and options

What `dbhaul COMMAND --help` prints, for every command. A test compares this page with the binary; to write it anew:
`DBHAUL_UPDATE_REFERENCE=1 cargo nextest run -p dbhaul reference`.
";

/// The help of a command and of those below it, under a heading each.
fn describe(command: &mut Command, path: &str, page: &mut String) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(page, "\n## {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()).unwrap();
    for below in
        command.get_subcommands_mut().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        let path = format!("{path} {}", below.get_name());
        describe(below, &path, page);
    }
}

#[test]
fn the_reference_is_what_the_commands_say() {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut page = HEAD.to_owned();
    describe(&mut command, "dbhaul", &mut page);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(Path::new(FILE).parent().unwrap()).unwrap();
        std::fs::write(FILE, &page).unwrap();
    }
    let written = std::fs::read_to_string(FILE).unwrap();
    let differs = page.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(
        page == written,
        "docs/reference/cli.md is not what the commands say; set {UPDATE}=1. {differs:?}"
    );
}
