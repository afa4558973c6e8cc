//! A machine that sleeps in the middle of a renewal, together with its clock: whatever request it sleeps at, the sign does
//! not count as renewed afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dbhaul_progress::Progress;
use dbhaul_retry::RetryPolicy;
use dbhaul_store::{ErrorKind, RetryStore};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::stage::{Fate, Stage};
use crate::clock::Clock;
use crate::{Repository, RepositoryError, StoreKeys};

/// Longer than any sign counts.
const SLEEP: Duration = Duration::from_secs(5 * 60 * 60);

/// Renews a sign twice at once, as the work and the renewals beside it do, asleep at one of their requests, which ends so.
/// Returns whether the sleep came, and those of the renewals that ended after it.
/// If `is_lost` the answer to the request before is lost too, which took effect.
async fn renewals(asleep_at: usize, fate: Fate, is_lost: bool) -> (bool, Vec<Result<(), RepositoryError>>) {
    let (left, slept) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicU64::new(0)));
    let (until, skew) = (Arc::clone(&left), Arc::clone(&slept));
    let stage = Stage::new(Arc::new(move |_| {
        let number = until.fetch_sub(1, Ordering::Relaxed);
        let is_asleep = number == 0;
        let skew = Arc::clone(&skew);
        async move {
            if !is_asleep {
                return if is_lost && number == 1 { Fate::LoseAnswer } else { Fate::Serve };
            }
            tokio::time::advance(SLEEP).await;
            skew.store(SLEEP.as_secs(), Ordering::Relaxed);
            fate
        }
        .boxed()
    }));
    let (cancel, progress) = (CancellationToken::new(), Progress::silent());
    let client = Arc::new(stage.client(0));
    let store = Arc::new(RetryStore::new(client, RetryPolicy::default(), cancel.clone(), progress.clone()));
    let mut repository = Repository::at_or_create(store, &StoreKeys::default(), &progress).await.unwrap();
    let ours = Arc::clone(&slept);
    repository.clock = Clock::new(move || stage.now() - Duration::from_secs(ours.load(Ordering::Relaxed)));
    let mut sign = repository.lease(&cancel).await.unwrap();
    sign.renew_only_when_told().await;
    left.store(asleep_at, Ordering::Relaxed);
    let has_slept = || slept.load(Ordering::Relaxed) > 0;
    let renewal = || async {
        let ended = sign.renew().await;
        has_slept().then_some(ended)
    };
    let (one, other) = tokio::join!(renewal(), renewal());
    (has_slept(), [one, other].into_iter().flatten().collect())
}

#[tokio::test(start_paused = true)]
async fn no_sign_counts_as_renewed_after_a_sleep_in_a_renewal() {
    for asleep_at in 0..6 {
        for fate in [Fate::Serve, Fate::Fail(ErrorKind::Unreachable), Fate::LoseAnswer] {
            // just before the last answer nothing tells: the renewal that follows a commit does
            if fate != Fate::Serve || asleep_at % 3 != 2 {
                check(asleep_at, fate, false).await;
            }
            check(asleep_at + 1, fate, true).await;
        }
    }
}

async fn check(asleep_at: usize, fate: Fate, is_lost: bool) {
    let (has_slept, ended) = renewals(asleep_at, fate, is_lost).await;
    assert!(has_slept, "two renewals have no request {asleep_at}");
    for ended in ended {
        let told = format!("asleep at {asleep_at}, {fate:?}, the one before lost: {is_lost}: {ended:?}");
        assert!(ended.is_err_and(|error| error.counts_as_gone()), "{told}");
    }
}
