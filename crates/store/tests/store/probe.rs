//! What a probe finds of servers with good and bad manners, and that it leaves nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dbhaul_progress::Progress;
use dbhaul_store::{
    Ability, Answer, ErrorKind, S3Store, Store as _, StoreExt as _, StoreProbe, StoreUrl, probe, probe_s3,
};
use tokio_util::sync::CancellationToken;

use crate::server::{BUCKET, Manners, Server, keys};

/// Probes a server, and looks that nothing is left.
async fn probed(server: &Server) -> StoreProbe {
    let store = S3Store::connect_with_keys(&server.url(BUCKET, "nightly"), keys()).await.unwrap();
    let store = Arc::new(store);
    let found = probe_s3(Arc::clone(&store), &CancellationToken::new(), &Progress::silent()).await.unwrap();
    assert_eq!((found.left.clone(), store.list("").await.unwrap()), (vec![], vec![]), "nothing is left");
    found
}

fn answer(probe: &StoreProbe, ability: Ability) -> (Answer, &str) {
    let found = probe.findings.iter().find(|found| found.ability == ability);
    let found = found.unwrap_or_else(|| panic!("{ability:?} was not tried: {probe:?}"));
    (found.answer, found.reason.as_deref().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_all() {
    let found = probed(&Server::start().await).await;
    for ability in [
        Ability::Write,
        Ability::Range,
        Ability::Places,
        Ability::Replace,
        Ability::Delete,
        Ability::List,
        Ability::ConditionalPut,
        Ability::ConditionalReplace,
        Ability::Checksum,
        Ability::BulkDelete,
        Ability::Clock,
    ] {
        assert_eq!(answer(&found, ability), (Answer::Yes, ""), "{ability:?}");
    }
    // the server does not know these requests
    assert_eq!(answer(&found, Ability::Versioning).0, Answer::Unknown);
    assert_eq!(answer(&found, Ability::ObjectLock).0, Answer::Unknown);
    assert!(found.is_usable());
    let numbers = (found.latency, found.put_bytes_per_second, found.get_bytes_per_second);
    assert!(matches!(numbers, (Some(_), Some(1..), Some(1..))), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_refuses_or_ignores_is_told_and_not_needed() {
    type Manner = fn(&Manners) -> &AtomicBool;
    let cases: [(Manner, Ability, &str); 5] = [
        (|manners| &manners.refuses_conditions, Ability::ConditionalPut, "501 NotImplemented"),
        (|manners| &manners.refuses_conditions, Ability::ConditionalReplace, "501 NotImplemented"),
        (|manners| &manners.ignores_conditions, Ability::ConditionalPut, "replaces the object"),
        (|manners| &manners.refuses_content_md5, Ability::Checksum, "400 InvalidArgument"),
        (|manners| &manners.refuses_bulk_delete, Ability::BulkDelete, "501 NotImplemented"),
    ];
    let server = Server::start().await;
    for (manner, ability, reason) in cases {
        manner(&server.manners).store(true, Ordering::SeqCst);
        let found = probed(&server).await;
        let (answer, told) = answer(&found, ability);
        assert!(answer == Answer::No && told.contains(reason), "{ability:?}: {answer:?} {told}");
        assert!(found.is_usable(), "{found:?}");
        manner(&server.manners).store(false, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lacks_what_is_needed_cannot_be_used() {
    let server = Server::start().await;
    server.manners.denies_reads.store(true, Ordering::SeqCst);
    let found = probed(&server).await;
    let (write, reason) = answer(&found, Ability::Write);
    assert!(write == Answer::No && reason.contains("access to bucket"), "{write:?} {reason}");
    assert_eq!(found.findings.len(), 1, "nothing else is tried");
    assert!(!found.is_usable());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_another_reason_is_not_known() {
    let server = Server::start().await;
    // an account that may neither delete nor write below packs/, as policies by prefix have it
    server.manners.denies_deletes_below_packs.store(true, Ordering::SeqCst);
    let found = probed(&server).await;
    let (places, reason) = answer(&found, Ability::Places);
    assert!(
        places == Answer::Unknown && reason.contains("may not delete below packs/"),
        "{places:?} {reason}"
    );
    assert!(found.is_usable(), "{found:?}");
    server.manners.denies_deletes_below_packs.store(false, Ordering::SeqCst);
    server.manners.denies_puts_below_packs.store(true, Ordering::SeqCst);
    let found = probed(&server).await;
    assert_eq!(answer(&found, Ability::Places).0, Answer::No);
    assert!(!found.is_usable(), "{found:?}");
    server.manners.denies_puts_below_packs.store(false, Ordering::SeqCst);
    // no answer to a write is no leave to rely on it, and is another thing than what was not tried
    server.manners.fails_puts_below_packs.store(true, Ordering::SeqCst);
    let found = probed(&server).await;
    assert_eq!(answer(&found, Ability::Places).0, Answer::Unknown);
    assert!(!found.is_usable(), "{found:?}");
    server.manners.fails_puts_below_packs.store(false, Ordering::SeqCst);
    // a server that fails is no proof that it compares checksums, or that it lets one writer win
    server.manners.fails_damaged_and_raced.store(true, Ordering::SeqCst);
    let found = probed(&server).await;
    for ability in [Ability::Checksum, Ability::ConditionalPut] {
        assert_eq!(answer(&found, ability).0, Answer::Unknown, "{ability:?} {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let probing = async |path: &std::path::Path| {
        let url = StoreUrl::Directory(path.to_owned());
        probe(&url, &CancellationToken::new(), &Progress::silent()).await
    };
    let found = probing(directory.path()).await.unwrap();
    assert!(found.is_usable(), "{found:?}");
    assert_eq!(answer(&found, Ability::ConditionalPut).0, Answer::Yes);
    assert_eq!(answer(&found, Ability::Places).0, Answer::Yes);
    assert_eq!(answer(&found, Ability::Versioning).0, Answer::No);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
    let missing = probing(&directory.path().join("none")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::MissingStore);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_is_stopped_leaves_nothing() {
    let server = Server::start().await;
    let store = S3Store::connect_with_keys(&server.url(BUCKET, "nightly"), keys()).await.unwrap();
    let (store, cancel) = (Arc::new(store), CancellationToken::new());
    // the first answer to a read stops it
    server.manners.hangs_reads.store(true, Ordering::SeqCst);
    let stopping = async {
        while server.manners.hung_read_count.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(store.list("").await.unwrap().len(), 1, "it has begun");
        cancel.cancel();
    };
    let silent = Progress::silent();
    let (probed, ()) = tokio::join!(probe_s3(Arc::clone(&store), &cancel, &silent), stopping);
    assert_eq!(probed.unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(store.list("").await.unwrap(), vec![]);
    assert!(store.describe().contains("nightly"));
}
