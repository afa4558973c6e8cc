//! From arguments to an exit code.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use dbhaul_pipeline::{Context, Status};
use tokio_util::sync::CancellationToken;

use crate::args::{Cli, Refused};
use crate::config::Checked;
use crate::errors::Shown;
use crate::intent::{Environment, Intent, Job};
use crate::output::{self, to_stderr, to_stdout};
use crate::progress::Display;
use crate::report_file::ReportFile;
use crate::{interrupt, log, report_file, run, secrets, stopped};

/// The exit code of a wrong usage.
const USAGE: u8 = 2;

/// Runs dbhaul.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>, environment: Environment<'_>) -> ExitCode {
    let cli = match Cli::read(arguments) {
        Ok(Ok(cli)) => cli,
        Ok(Err(Refused { command, problem })) => return wrong_usage(&problem, &command),
        Err(error) => return tell(error),
    };
    let name = cli.command.name();
    let intent = match Intent::resolve(cli, environment) {
        Ok(intent) => intent,
        Err(error) => return wrong_usage(&error.to_string(), name),
    };
    let result = match intent {
        Intent::Completions(shell) => completions(shell),
        Intent::CheckConfig(checked, json) => return check_config(&checked, json),
        Intent::Convert(file, outputs) => return convert(&file, &outputs),
        Intent::Man(dir, command) => manual(dir.as_deref(), &command),
        Intent::Run(job) => return start(*job),
    };
    done_or_failed(result)
}

fn check_config(checked: &Checked, json: bool) -> ExitCode {
    let printed = match json {
        true => serde_json::to_string(checked)
            .map(|text| output::plain_json(&text))
            .map_err(std::io::Error::other),
        false => Ok(checked.to_string()),
    };
    match printed.and_then(|text| to_stdout(&format!("{text}\n"))) {
        Ok(()) if !checked.is_good() => ExitCode::from(USAGE),
        result => done_or_failed(result),
    }
}

fn convert(file: &Path, outputs: &[ReportFile]) -> ExitCode {
    match report_file::convert(file, outputs) {
        Ok(()) => exit_code(Status::Done),
        Err(error) => {
            Shown::new(&error).print();
            exit_code(Status::Failed)
        }
    }
}

fn wrong_usage(problem: &str, command: &str) -> ExitCode {
    let problem = secrets::redact(problem);
    to_stderr(&format!("error: {problem}\n\nFor more information, try 'dbhaul {command} --help'."));
    ExitCode::from(USAGE)
}

/// Prints what clap has to say: help and the version, or what is wrong.
fn tell(mut error: clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return done_or_failed(error.print());
    }
    let typed: Vec<String> = std::env::args_os().map(|text| text.to_string_lossy().into_owned()).collect();
    hide_secrets(&mut error, &typed);
    let rendered = error.render();
    let colour = output::wants_colour() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let text = if colour { rendered.ansi().to_string() } else { rendered.to_string() };
    output::styled_to_stderr(&text);
    ExitCode::from(USAGE)
}

/// clap quotes arguments as they were typed; what may be of a password goes.
pub(crate) fn hide_secrets(error: &mut clap::Error, typed: &[String]) {
    let show = |kind: ContextKind, text: &str| match kind {
        ContextKind::InvalidArg | ContextKind::InvalidSubcommand => Some(secrets::shown_stray(text, typed)),
        ContextKind::InvalidValue => Some(secrets::shown_argument(text)),
        _ => None,
    };
    let hidden: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(show(kind, text)?))),
            _ => None,
        })
        .collect();
    for (kind, value) in hidden {
        // a tip quotes the argument once more
        if error.insert(kind, value.clone()).is_some_and(|typed| typed != value) {
            error.remove(ContextKind::Suggested);
        }
    }
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
    let status = runtime.block_on(Box::pin(carry_out(job, display)));
    // a file system that does not answer would hold up the end for ever
    runtime.shutdown_timeout(LAST_CALLS);
    exit_code(status)
}

/// How long the process waits for calls to the system that nobody waits for any more.
const LAST_CALLS: Duration = Duration::from_secs(5);

async fn carry_out(job: Job, display: Display) -> Status {
    let (progress, cancel) = (display.progress(), CancellationToken::new());
    let context = Context { progress, cancel, lock_wait: job.lock_wait, keys: Arc::new(job.keys) };
    for warning in &job.warnings {
        context.progress.warning(warning.as_str());
    }
    let cancel = context.cancel.clone();
    let watcher = match interrupt::watch(cancel.clone(), context.progress.clone()) {
        Ok(watcher) => watcher,
        Err(error) => return finish(display, &Shown::new(&error), Status::Failed),
    };
    let (json, quiet, report_files) = (job.output.json, job.output.quiet, job.report_files);
    let verbose = job.output.verbose > 0;
    let (way_on, begun) = (stopped::way_on(&job.request, job.dry_run), AtomicBool::new(false));
    let nothing_written = stopped::before_the_target(&job.request);
    let recorder = display.recorder();
    let record = move || recorder.record(secrets::command_line(std::env::args_os()));
    let result = run::run(job.request, job.dry_run, verbose, context, (&begun, &record)).await;
    watcher.abort();
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => {
            let way_on = nothing_written.filter(|_| !begun.load(Ordering::Relaxed)).unwrap_or(&way_on);
            return match cancel.is_cancelled() {
                true => finish(display, &Shown::of_stopped(&error, way_on), Status::Interrupted),
                false => finish(display, &Shown::of_command(&error), error.status()),
            };
        }
    };
    let status = outcome.status();
    let written = report_files.iter().try_for_each(|file| outcome.write(file));
    let printed = written.and_then(|()| {
        display.finish();
        outcome.quietened(quiet, json).print(json, verbose)
    });
    match printed {
        Ok(()) => status,
        Err(error) => {
            Shown::new(&error).with_help(error.help()).print_of_run();
            // What failed before stays worse than a report that could not be written.
            if status == Status::Done { Status::Failed } else { status }
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
