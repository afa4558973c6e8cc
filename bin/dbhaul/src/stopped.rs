//! What there is to do about a command that the user has stopped.

use std::borrow::Cow;

use dbhaul_pipeline::{in_one_line, quote_identifier};

use crate::intent::Request;

/// What became of what the command had done, and how to go on.
pub(crate) fn way_on(request: &Request, dry_run: bool) -> Cow<'static, str> {
    let text = match request {
        _ if dry_run => NOTHING_CHANGED,
        Request::Preflight(_)
        | Request::ListBackups(_)
        | Request::ShowBackup { .. }
        | Request::ListKeys(_)
        | Request::RecoveryKit(_)
        | Request::ProbeStore(_)
        | Request::HoldSnapshot(_) => NOTHING_CHANGED,
        Request::Verify(_) => "the comparison did not finish, and neither side was changed: run it again",
        Request::Check(request) if request.target.is_none() => {
            "reports of backups that were checked so far are in the store: run it again"
        }
        Request::Check(_) => {
            "the scratch database was dropped, unless a warning names it; reports of backups that were checked so far \
             are in the store: run it again"
        }
        Request::Dump(_) => {
            "no backup was made, and a dump is not resumed: run it again; packs that it had stored belong to no \
             backup and stay in the store, and `dbhaul cleanup --store` removes them later"
        }
        Request::Export(..) => {
            "no file was made, and what went to standard output is not complete: run it again"
        }
        Request::ImportRows(..) => "nothing was imported: run it again",
        Request::Script(..) => {
            "the script is not complete: a --file has not got its name, and what went to standard output ends in \
             a statement that fails; run it again"
        }
        Request::Restore(request) if request.options.create => {
            return created("named as that of the backup", "").into();
        }
        Request::Migrate(request) if request.options.create => {
            let name = in_one_line(&quote_identifier(&request.source.shown_database()));
            return created(&name, IF_UNCHANGED).into();
        }
        Request::Restore(_) => {
            "what was loaded stays on the target: go on with --resume, or start over with --clean --if-exists; \
             `dbhaul cleanup` removes what only --resume needs"
        }
        Request::Migrate(_) => {
            "what was loaded stays on the target: go on with --resume, if the snapshot is held (--hold-snapshot) or \
             the source is neither written to nor restarted meanwhile, or start over with --clean --if-exists; \
             `dbhaul cleanup` removes what only --resume needs"
        }
        Request::RunJobs(_) => {
            "backups that were made so far are in the store; steps that were not taken are taken by the next run"
        }
        Request::ConvertBackup(_) => {
            "there is no new backup, and the old one is as it was: run it again; what was written for the new one is \
             removed by `dbhaul backup prune`"
        }
        Request::Forget(_) => "backups that were forgotten so far stay forgotten: run it again",
        Request::Pin { .. } => "some of the backups may be pinned or unpinned: run it again",
        Request::InitStore(_) => {
            "the store was not made: remove what lies under keys/ there and the writer key file, and run it again"
        }
        Request::ChangeKeys(..) => "`dbhaul store key list` shows which keys the store has now",
        Request::Cleanup(_) | Request::CleanupStore(_) | Request::Prune(_) => {
            "what was removed stays removed: run it again to see what is left"
        }
    };
    text.into()
}

/// The way on where a command that writes a target was stopped before it began to; `None` for other commands.
pub(crate) fn before_the_target(request: &Request) -> Option<&'static str> {
    let writes = matches!(request, Request::Restore(_) | Request::Migrate(_));
    writes.then_some("this run has written nothing to the target: run it again")
}

/// The way on with a database that is created: a second `--create` is refused, and the run's ledger is in it.
fn created(database: &str, condition: &str) -> String {
    format!(
        "what was loaded stays in the database of the target that was created, {database}: go on with --resume\
         {condition}, or start over with --clean --if-exists in place of --create and with --target at that \
         database; `dbhaul cleanup`, with --target at it too, removes what only --resume needs"
    )
}

const IF_UNCHANGED: &str = ", if the snapshot is held (--hold-snapshot) or the source is neither written to nor \
                            restarted meanwhile";

const NOTHING_CHANGED: &str = "nothing was changed: run it again";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{before_the_target, way_on};
    use crate::args::Cli;
    use crate::intent::Intent;

    #[test]
    fn only_what_can_be_resumed_is() {
        let check = |words: &str, expected: &str| {
            let cli = Cli::try_parse_from(std::iter::once("dbhaul").chain(words.split_whitespace())).unwrap();
            let Ok(Intent::Run(job)) = Intent::resolve(cli, &|_| None) else { panic!("{words}") };
            let told = way_on(&job.request, job.dry_run);
            assert!(told.contains(expected), "{words}: {told}");
            assert_eq!(told.contains("--resume"), expected == "--resume", "{words}: {told}");
            let writes = expected == "--resume" || job.dry_run;
            let before = before_the_target(&job.request);
            assert_eq!(before.is_some_and(|told| told.contains("has written nothing")), writes, "{words}");
        };
        let (source, target, store) = ("--source host=a", "--target host=b", "--store s");
        check(&format!("backup list {store}"), "nothing was changed");
        check(&format!("dump {source} {store}"), "no backup was made");
        check(&format!("verify {source} {target}"), "neither side was changed");
        check(&format!("restore {store} {target}"), "--resume");
        check(&format!("restore {store} {target} --dry-run"), "nothing was changed");
        check(&format!("migrate {source} {target}"), "--resume");
        check(&format!("restore {store} {target} --create"), "--resume");
        let words = "migrate --source dbname=My --target dbname=b --create";
        let cli = Cli::try_parse_from(std::iter::once("dbhaul").chain(words.split_whitespace())).unwrap();
        let Ok(Intent::Run(job)) = Intent::resolve(cli, &|_| None) else { panic!("{words}") };
        let told = way_on(&job.request, job.dry_run);
        assert!(told.contains("that was created, \"My\":"), "{told}");
        assert!(told.contains("in place of --create"), "{told}");
    }
}
