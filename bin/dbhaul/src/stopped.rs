//! What there is to do about a command that the user has stopped.

use crate::intent::Request;

/// What became of what the command had done, and how to go on.
pub(crate) fn way_on(request: &Request, dry_run: bool) -> &'static str {
    match request {
        _ if dry_run => NOTHING_CHANGED,
        Request::Preflight(_)
        | Request::ListBackups(_)
        | Request::ShowBackup { .. }
        | Request::HoldSnapshot(_) => NOTHING_CHANGED,
        Request::Verify(_) => {
            "neither side was changed, and nothing is known of their being equal: compare them again"
        }
        Request::Dump(_) => {
            "no backup was made, and a dump is not resumed: run it again; packs that it had stored belong to no \
             backup and stay in the store"
        }
        Request::Script(..) => {
            "the script is not complete: a --file has not got its name, and what went to standard output ends in \
             a statement that fails; run it again"
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
        Request::Cleanup(_) => "what was removed stays removed: run it again to see what is left",
    }
}

const NOTHING_CHANGED: &str = "nothing was changed: run it again";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::way_on;
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
        };
        let (source, target, store) = ("--source host=a", "--target host=b", "--store s");
        check(&format!("backup list {store}"), "nothing was changed");
        check(&format!("dump {source} {store}"), "no backup was made");
        check(&format!("verify {source} {target}"), "neither side was changed");
        check(&format!("restore {store} {target}"), "--resume");
        check(&format!("restore {store} {target} --dry-run"), "nothing was changed");
        check(&format!("migrate {source} {target}"), "--resume");
    }
}
