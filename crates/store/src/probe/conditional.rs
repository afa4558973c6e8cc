//! Writes under a condition: whether a server keeps to it.

use bytes::Bytes;
use futures::future::join_all;
use md5::{Digest as _, Md5};

use super::{Kind, Outcome, Trial, patiently, told};
use crate::s3::is_conflict;
use crate::{ErrorKind, Replaced, StoreError, StoreExt as _};

/// Writers that create the same object at the same time.
const WRITERS: u8 = 4;

impl Trial {
    pub(super) async fn conditional_put(&self) -> Outcome {
        let key = self.key("conditional");
        match patiently(async || self.kind.create(&key, Bytes::from_static(b"first")).await).await {
            // an earlier attempt, whose answer was lost
            Err(error) if error.is_already_exists() => {}
            Err(error) if error.kind() == ErrorKind::Unsupported => return Outcome::No(told(&error)),
            Err(error) => return Outcome::Unknown(told(&error)),
            Ok(()) => {}
        }
        match patiently(async || self.kind.create(&key, Bytes::from_static(b"second")).await).await {
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Outcome::Unknown(told(&error)),
            Ok(()) => {
                return Outcome::No("the store accepts the condition and replaces the object".to_owned());
            }
        }
        match self.store.get(&key).await {
            Ok(bytes) if bytes == "first" => self.race().await,
            Ok(_) => Outcome::No("the store refuses the second write and replaces the object".to_owned()),
            Err(error) => Outcome::Unknown(told(&error)),
        }
    }

    /// Several that create the same object: the server looks and writes in one step, or not.
    async fn race(&self) -> Outcome {
        let key = self.key("race");
        let writers = (0..WRITERS).map(|writer| self.kind.create(&key, Bytes::from(vec![writer; 1000])));
        let written = join_all(writers).await;
        let created = written.iter().filter(|result| result.is_ok()).count();
        // what failed otherwise may have been written
        let is_refusal = |error: &&StoreError| error.is_already_exists() || is_conflict(error);
        let failed =
            written.iter().filter_map(|result| result.as_ref().err()).find(|error| !is_refusal(error));
        match (created, failed) {
            (2.., _) => Outcome::No(format!(
                "{created} of {WRITERS} writers at the same time were told that they had created the same object"
            )),
            (_, Some(error)) => Outcome::Unknown(told(error)),
            (0, None) => {
                Outcome::Unknown(format!("none of {WRITERS} writers at the same time created the object"))
            }
            (_, None) => Outcome::Yes,
        }
    }

    /// A write that is to replace other bytes than there are, and one in the place of what was deleted.
    pub(super) async fn conditional_replace(&self) -> Outcome {
        let key = self.key("replaced");
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        if let Err(error) = self.store.overwrite(&key, first.clone()).await {
            return Outcome::failed(&error);
        }
        for (is_deleted, fault) in [
            (false, "the store accepts the condition and replaces an object that has changed"),
            (true, "the store accepts the condition and makes an object anew that was deleted"),
        ] {
            let read = match is_deleted {
                true => &first,
                false => &second,
            };
            if is_deleted && let Err(error) = self.store.delete(&key).await {
                return Outcome::failed(&error);
            }
            match self.replaces(&key, read, second.clone()).await {
                Ok(false) => {}
                Ok(true) => return Outcome::No(fault.to_owned()),
                Err(error) => return Outcome::failed(&error),
            }
        }
        Outcome::Yes
    }

    /// Whether an object is replaced by whoever has read these bytes, as the server alone decides it.
    async fn replaces(&self, key: &str, read: &Bytes, new: Bytes) -> Result<bool, StoreError> {
        let Kind::S3(store) = &self.kind else {
            return Ok(self.kind.store().replace(key, read, new).await? == Replaced::Done);
        };
        let etag = format!("\"{}\"", hex::encode(Md5::digest(read)));
        match patiently(async || store.put_if_same(key, new.clone(), &etag).await).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_already_exists() || error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
