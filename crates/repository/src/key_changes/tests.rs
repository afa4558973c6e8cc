//! Rotations at the same time, and a store that two of them have forked.

use dbhaul_archive::{Holder, KeyError, ReaderKeys, Recipient, generate_identity, keys};
use dbhaul_progress::Progress;
use dbhaul_store::StoreUrl;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::{KeyStore, Rotation, create_surely};
use crate::{NewStore, RepositoryError, StoreKeys};

/// An encrypted store in a directory, and who can read it.
struct World {
    directory: TempDir,
    url: StoreUrl,
    keys: StoreKeys,
    recipient: Recipient,
    cancel: CancellationToken,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = StoreUrl::Directory(directory.path().join("store"));
        let (secret, recipient) = generate_identity();
        let mut reader = ReaderKeys::default();
        reader.add_identities(&secret).unwrap();
        let keys = StoreKeys { reader, ..StoreKeys::default() };
        let world = World { directory, url, keys, recipient, cancel: CancellationToken::new() };
        let new = NewStore::prepare(&world.url, world.holders(), &Progress::silent(), &world.cancel).await;
        new.unwrap().create().await.unwrap();
        world
    }

    fn holders(&self) -> Vec<Holder> {
        vec![Holder::Recipient(self.recipient.clone())]
    }

    async fn opened(&self) -> KeyStore {
        KeyStore::open(&self.url, &self.keys, true, &Progress::silent(), &self.cancel).await.unwrap()
    }

    async fn rotation(&self) -> Rotation {
        self.opened().await.rotate(self.holders()).await.unwrap()
    }

    async fn generations(&self) -> Vec<Ulid> {
        self.opened().await.holders().keys().copied().collect()
    }
}

#[tokio::test]
async fn of_two_rotations_at_the_same_time_one_takes_its_own_back() {
    let world = World::new().await;
    let first = world.generations().await;
    let (ours, late) = (world.rotation().await, world.rotation().await);
    let made = ours.generation();
    ours.commit().await.unwrap();
    // the other one was stored before this one wrote anything
    let refused = late.commit().await.unwrap_err();
    assert!(matches!(refused, RepositoryError::RotationAtWork { other, .. } if other == made), "{refused}");
    let mut expected = [first, vec![made]].concat();
    expected.sort_unstable();
    assert_eq!(world.generations().await, expected);
    // it was stored between the looks of this one
    let (ours, late) = (world.rotation().await, world.rotation().await);
    let made = ours.generation();
    ours.commit().await.unwrap();
    let refused = late.write_and_look().await.unwrap_err();
    assert!(matches!(refused, RepositoryError::RotationAtWork { other, .. } if other == made), "{refused}");
    expected.push(made);
    expected.sort_unstable();
    assert_eq!(world.generations().await, expected);
    // neither was there when the other one began
    let (one, two) = (world.rotation().await, world.rotation().await);
    let (one, two) = tokio::join!(one.write_and_look(), two.write_and_look());
    let made = usize::from(one.is_ok()) + usize::from(two.is_ok());
    assert!(made <= 1);
    assert_eq!(world.generations().await.len(), expected.len() + made);
    assert!(world.opened().await.forks().is_empty());
}

/// Stores a generation as if nobody else had.
async fn stored(rotation: Rotation) -> Ulid {
    for (key, bytes) in &rotation.wrapped {
        create_surely(&rotation.store, key, bytes.clone()).await.unwrap();
    }
    rotation.generation()
}

#[tokio::test]
async fn a_fork_is_opened_and_its_unused_generation_removed() {
    let world = World::new().await;
    let first = world.generations().await[0].to_string();
    let none = world.opened().await.remove_generation(&first, &world.cancel).await.unwrap_err();
    assert!(matches!(none, RepositoryError::NoFork { .. }), "{none}");
    let (one, two) = (world.rotation().await, world.rotation().await);
    let (one, two) = (stored(one).await, stored(two).await);
    let opened = world.opened().await;
    let mut forks = [one, two];
    forks.sort_unstable();
    assert_eq!(opened.forks().iter().copied().collect::<Vec<_>>(), forks);
    assert_eq!(opened.opened().len(), 3);
    // nobody can tell which is to be written with
    let is_forked = |error: &RepositoryError| {
        matches!(error, RepositoryError::Keys { source: KeyError::Forked { .. }, .. })
    };
    assert!(is_forked(&opened.writer_key().unwrap_err()));
    assert!(is_forked(&world.opened().await.rotate(world.holders()).await.unwrap_err()));
    let followed = opened.remove_generation(&first, &world.cancel).await.unwrap_err();
    assert!(matches!(followed, RepositoryError::FollowedGeneration { .. }), "{followed}");
    let unknown = opened.remove_generation("01", &world.cancel).await.unwrap_err();
    assert!(matches!(unknown, RepositoryError::NoGeneration { .. }), "{unknown}");
    let sign = world.directory.path().join("store").join(keys::session(Ulid(7)));
    std::fs::create_dir_all(sign.parent().unwrap()).unwrap();
    std::fs::write(&sign, "a dump is at work").unwrap();
    let at_work = opened.remove_generation(&two.to_string(), &world.cancel).await.unwrap_err();
    assert!(matches!(at_work, RepositoryError::DumpAtWork { .. }), "{at_work}");
    std::fs::remove_file(&sign).unwrap();
    assert_eq!(opened.remove_generation(&two.to_string(), &world.cancel).await.unwrap(), 1);
    let opened = world.opened().await;
    assert!(opened.forks().is_empty());
    opened.writer_key().unwrap();
    opened.rotate(world.holders()).await.unwrap().commit().await.unwrap();
}
