//! From arguments to an exit code.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use dbhaul_pipeline::{Context, Status};
use tokio_util::sync::CancellationToken;

use crate::args::Cli;
use crate::errors::Shown;
use crate::intent::{Environment, Intent, Job};
use crate::output::{self, to_stderr, to_stdout};
use crate::progress::Display;
use crate::{interrupt, log, run, secrets, stopped};

/// The exit code of a wrong usage.
const USAGE: u8 = 2;

/// Runs dbhaul.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>, environment: Environment<'_>) -> ExitCode {
    let mut command = Cli::command();
    let parsed = command.try_get_matches_from_mut(arguments);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return tell(&error),
    };
    let name = cli.command.name();
    let intent = match Intent::resolve(cli, environment) {
        Ok(intent) => intent,
        Err(error) => {
            to_stderr(&format!("error: {error}\n\nFor more information, try 'dbhaul {name} --help'."));
            return ExitCode::from(USAGE);
        }
    };
    let result = match intent {
        Intent::Completions(shell) => completions(shell),
        Intent::Man(dir, command) => manual(dir.as_deref(), &command),
        Intent::Run(job) => return start(*job),
    };
    done_or_failed(result)
}

/// Prints what clap has to say: help and the version, or what is wrong. It quotes
/// arguments, so passwords are masked.
fn tell(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return done_or_failed(error.print());
    }
    let rendered = error.render();
    let colour = output::wants_colour() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let text = if colour { rendered.ansi().to_string() } else { rendered.to_string() };
    to_stderr(&secrets::redact(&text));
    ExitCode::from(USAGE)
}

fn done_or_failed(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => exit_code(Status::Done),
        Err(error) => {
            Shown::new(&error).print();
            exit_code(Status::Failed)
        }
    }
}

fn exit_code(status: Status) -> ExitCode {
    ExitCode::from(status.exit_code())
}

fn start(job: Job) -> ExitCode {
    let display = Display::start(&job.output);
    log::start(job.output.verbose, job.output.quiet, display.is_json());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return done_or_failed(Err(error)),
    };
    exit_code(runtime.block_on(Box::pin(carry_out(job, display))))
}

async fn carry_out(job: Job, display: Display) -> Status {
    let context = Context { progress: display.progress(), cancel: CancellationToken::new() };
    for warning in &job.warnings {
        context.progress.warning(warning.as_str());
    }
    let cancel = context.cancel.clone();
    let watcher = match interrupt::watch(cancel.clone(), context.progress.clone()) {
        Ok(watcher) => watcher,
        Err(error) => return finish(display, &Shown::new(&error), Status::Failed),
    };
    let (json, report_file) = (job.output.json, job.report_file);
    let verbose = job.output.verbose > 0;
    let way_on = stopped::way_on(&job.request, job.dry_run);
    let result = run::run(job.request, job.dry_run, verbose, context).await;
    watcher.abort();
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => {
            return match cancel.is_cancelled() {
                true => finish(display, &Shown::of_stopped(&error, &way_on), Status::Interrupted),
                false => finish(display, &Shown::of_command(&error), error.status()),
            };
        }
    };
    let written = report_file.as_deref().map_or(Ok(()), |file| outcome.write(file));
    let printed = written.and_then(|()| {
        display.finish();
        outcome.print(json, verbose)
    });
    match printed {
        Ok(()) => outcome.status(),
        Err(error) => {
            Shown::new(&error).print();
            // What failed before stays worse than a report that could not be written.
            if outcome.status() == Status::Done { Status::Failed } else { outcome.status() }
        }
    }
}

fn finish(display: Display, error: &Shown, status: Status) -> Status {
    display.finish_with(error, status);
    status
}

fn completions(shell: clap_complete::Shell) -> std::io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dbhaul", &mut script);
    to_stdout(&String::from_utf8_lossy(&script))
}

/// The page of one command, or those of dbhaul and all its commands: into a directory, or one after another.
fn manual(dir: Option<&Path>, names: &[String]) -> std::io::Result<()> {
    let mut command = Cli::command();
    command.build();
    for name in names {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| std::io::Error::other(format!("there is no command {name:?}")))?;
    }
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir)?;
        return each_page(&command, &mut |page| page.generate_to(dir).map(drop));
    }
    let mut pages = Vec::new();
    each_page(&command, &mut |page| page.render(&mut pages))?;
    to_stdout(&String::from_utf8_lossy(&pages))
}

/// The pages of a command and of those below it, without what people do not call and clap's own `help`.
fn each_page(
    command: &clap::Command,
    act: &mut impl FnMut(clap_mangen::Man) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let source = format!("dbhaul {}", command.get_version().unwrap_or_default());
    act(clap_mangen::Man::new(command.clone()).source(source))?;
    let mut subcommands = command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help");
    subcommands.try_for_each(|subcommand| each_page(subcommand, act))
}
