//! Statements of others, each in a message of its own.
//!
//! What comes from a catalog is sent over the extended protocol, in which a message holds one statement: a
//! text that holds two is refused by the server, whatever its quotes and comments say. The messages of many
//! statements travel together, so that they cost no more waiting than one message with all of them.

use std::sync::atomic::Ordering;
use std::task::Poll;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::Error;
use crate::session::Session;

/// Statements under way at most.
const MOST_STATEMENTS: usize = 256;

/// Bytes of statements under way, about.
const MOST_BYTES: usize = 4 << 20;

/// The first of several statements that failed. What stood behind it was not done.
#[derive(Debug)]
pub struct FailedStatement {
    /// Its place among them, from 0; how many there are where it was the end of the transaction that failed.
    pub place: usize,
    /// Why.
    pub error: Error,
}

impl From<FailedStatement> for Error {
    fn from(failed: FailedStatement) -> Self {
        failed.error
    }
}

type DriverResult = std::result::Result<(), tokio_postgres::Error>;

impl Session {
    /// Runs statements in order in the open transaction, each in a message of its own, many at once under
    /// way. Those behind one that fails are refused by the server (SQLSTATE 25P02), since the transaction
    /// has failed; outside a transaction they would be done, so there is none without.
    ///
    /// # Errors
    /// The first that failed. [`Error::NoTransaction`] outside a transaction.
    pub async fn run_each<S: AsRef<str>>(&self, statements: &[S]) -> Result<(), FailedStatement> {
        let last = self.run_all_but_last(statements).await?;
        self.fly(statements, last, None).await
    }

    /// As [`Self::run_each`], with the end of the transaction under way too: statements of our own, in
    /// one message with the `COMMIT`, which is not reached where anything failed.
    ///
    /// # Errors
    /// The first that failed; then the transaction is open and has failed.
    pub async fn run_each_and_commit<S: AsRef<str>>(
        &self,
        statements: &[S],
        own: &str,
    ) -> Result<(), FailedStatement> {
        let last = self.run_all_but_last(statements).await?;
        // fails in a failed transaction, and COMMIT is not reached
        let own = if own.is_empty() { "SELECT 1" } else { own };
        self.fly(statements, last, Some(format!("{own}; COMMIT"))).await?;
        self.core().in_transaction.store(false, Ordering::Release);
        Ok(())
    }

    /// Runs as many as do not go together with the last; returns the place of the first that does.
    async fn run_all_but_last<S: AsRef<str>>(&self, statements: &[S]) -> Result<usize, FailedStatement> {
        if !self.core().in_transaction.load(Ordering::Acquire) {
            let error = Error::NoTransaction { server: self.server().to_owned() };
            return Err(FailedStatement { place: 0, error });
        }
        let mut first = 0;
        loop {
            let end = first + flight_length(&statements[first..]);
            if end >= statements.len() {
                return Ok(first);
            }
            self.fly(&statements[..end], first, None).await?;
            first = end;
        }
    }

    /// Sends statements from a place on, and what ends their transaction, if anything does.
    async fn fly<S: AsRef<str>>(
        &self,
        statements: &[S],
        first: usize,
        end: Option<String>,
    ) -> Result<(), FailedStatement> {
        let client = self.core().link().client();
        let mut requests: Vec<BoxFuture<'_, DriverResult>> = Vec::new();
        for sql in statements.iter().skip(first).map(AsRef::as_ref) {
            requests.push(client.execute_typed(sql, &[]).map(|answer| answer.map(|_| ())).boxed());
        }
        if let Some(end) = &end {
            requests.push(client.batch_execute(end).boxed());
        }
        let mut place = first;
        let result = self.core().run(all(requests, &mut place)).await;
        result.map_err(|error| FailedStatement { place, error })
    }
}

/// How many of the statements go together.
pub(crate) fn flight_length<S: AsRef<str>>(statements: &[S]) -> usize {
    let mut bytes = 0;
    let fits = |sql: &&S| {
        bytes += sql.as_ref().len();
        bytes <= MOST_BYTES
    };
    statements.iter().take(MOST_STATEMENTS).take_while(fits).count().max(1)
}

/// Sends all requests, then waits for their answers; where one fails, `place` grows by its place.
///
/// The driver sends a request when it is first polled, and hands out the answers in the order of the requests.
/// All are waited for, so that nothing is under way when this returns.
async fn all(mut requests: Vec<BoxFuture<'_, DriverResult>>, place: &mut usize) -> DriverResult {
    let mut answers = Vec::with_capacity(requests.len());
    for request in &mut requests {
        answers.push(match futures::poll!(request) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        });
    }
    let mut first_failure = None;
    for (number, (request, answer)) in requests.into_iter().zip(answers).enumerate() {
        let answer = match answer {
            Some(answer) => answer,
            None => request.await,
        };
        if let (Err(error), None) = (answer, &first_failure) {
            *place += number;
            first_failure = Some(error);
        }
    }
    first_failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::{MOST_BYTES, MOST_STATEMENTS, flight_length};

    #[test]
    fn flights_are_bounded() {
        assert_eq!(flight_length(&[""; 10]), 10);
        assert_eq!(flight_length(&[""; 1000]), MOST_STATEMENTS);
        let large = "x".repeat(MOST_BYTES / 2 + 1);
        assert_eq!(flight_length(&[&large, &large]), 1);
        assert_eq!(flight_length(&["x".repeat(MOST_BYTES + 1)]), 1);
        assert_eq!(flight_length::<&str>(&[]), 1);
    }
}
