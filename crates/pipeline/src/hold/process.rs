//! The run's side of the process that holds its snapshot.

use std::process::Stdio;
use std::time::Duration;

use dbhaul_catalog::QualifiedName;
use dbhaul_postgres::SnapshotInfo;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use super::{HoldAnswer, HoldOrder, HoldProgram};
use crate::PipelineError;

/// How long the process may take to answer. It waits no longer than [`super::LOCK_PATIENCE`] for its locks,
/// and connecting has its own limits; this is for a process that is stopped or lost.
const ANSWER_PATIENCE: Duration = Duration::from_secs(600);
const _: () = assert!(super::LOCK_PATIENCE.as_secs() < ANSWER_PATIENCE.as_secs());

/// How long the process may take to end once told to.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// A process that holds a snapshot. Dropped before [`Self::keep`], it ends; after it, it stays.
pub(crate) struct HolderProcess {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    run: String,
    snapshot: SnapshotInfo,
    limit: Duration,
    is_kept: bool,
    cancel: CancellationToken,
}

impl HolderProcess {
    /// Starts the process, in a process group of its own so that no Ctrl-C meets it, and waits until it
    /// holds a snapshot.
    ///
    /// # Errors
    /// [`PipelineError::Hold`] with its own words.
    pub(crate) async fn start(
        program: &HoldProgram,
        run: &str,
        cancel: &CancellationToken,
    ) -> Result<Self, PipelineError> {
        let starting = |error: std::io::Error| failed(format!("{}: {error}", program.program.display()));
        let mut child = Command::new(&program.program)
            .args(&program.arguments)
            .arg(run)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(starting)?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("it has no standard input or output".to_owned()));
        };
        let mut answers = BufReader::new(answers).lines();
        match next(&mut answers, cancel).await? {
            HoldAnswer::Holding { snapshot } => {
                let (limit, cancel) = (program.limit, cancel.clone());
                let run = run.to_owned();
                Ok(HolderProcess { child, orders, answers, run, snapshot, limit, is_kept: false, cancel })
            }
            other => Err(unexpected(&other)),
        }
    }

    /// The snapshot that it holds.
    pub(crate) fn snapshot(&self) -> &SnapshotInfo {
        &self.snapshot
    }

    /// The run it holds the snapshot for.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// Whether it stays when this process has gone.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Its id, while it runs.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended, whatever it was told.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// How long it stays when left alone.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Has it lock tables; returns those that changed since the snapshot.
    pub(crate) async fn lock(&mut self, tables: Vec<QualifiedName>) -> Result<Vec<String>, PipelineError> {
        match self.ask(&HoldOrder::Lock { tables }).await? {
            HoldAnswer::Locked { changed } => Ok(changed),
            other => Err(unexpected(&other)),
        }
    }

    /// Has it stay when this process has gone.
    pub(crate) async fn keep(&mut self) -> Result<(), PipelineError> {
        match self.ask(&HoldOrder::Keep { limit_seconds: self.limit.as_secs() }).await? {
            HoldAnswer::Kept => {
                self.is_kept = true;
                Ok(())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Has it let the snapshot go, and waits for its end. That it has ended already is all the same.
    pub(crate) async fn end(mut self) {
        let _ = self.send(&HoldOrder::End).await;
        if tokio::time::timeout(END_PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    async fn ask(&mut self, order: &HoldOrder) -> Result<HoldAnswer, PipelineError> {
        self.send(order).await.map_err(|error| failed(error.to_string()))?;
        next(&mut self.answers, &self.cancel).await
    }

    async fn send(&mut self, order: &HoldOrder) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await?;
        self.orders.flush().await
    }
}

async fn next(
    answers: &mut Lines<BufReader<ChildStdout>>,
    cancel: &CancellationToken,
) -> Result<HoldAnswer, PipelineError> {
    let answer = tokio::time::timeout(ANSWER_PATIENCE, answers.next_line());
    let line = cancel.run_until_cancelled(answer).await.ok_or(PipelineError::Cancelled)?;
    let line = line.map_err(|_| failed(format!("it did not answer for {} s", ANSWER_PATIENCE.as_secs())))?;
    let line = line.map_err(|error| failed(error.to_string()))?;
    let line = line.ok_or_else(|| failed("it has ended".to_owned()))?;
    match serde_json::from_str(&line) {
        Ok(HoldAnswer::Failed { reason }) => Err(failed(reason)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(failed(format!("its answer cannot be read: {error}"))),
    }
}

fn unexpected(answer: &HoldAnswer) -> PipelineError {
    failed(format!("it answered out of turn: {answer:?}"))
}

fn failed(reason: String) -> PipelineError {
    PipelineError::Hold { reason }
}
