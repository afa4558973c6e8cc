//! The dbhaul command line. See [`app`] for what happens between arguments and exit code.

mod app;
mod args;
mod config;
mod errors;
mod holder;
mod intent;
mod interrupt;
mod log;
mod output;
mod progress;
mod report_file;
mod run;
mod secrets;
mod shell;
mod stopped;

fn main() -> std::process::ExitCode {
    app::main(std::env::args_os(), &dbhaul_pipeline::process_environment)
}
