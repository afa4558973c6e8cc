//! What a reader has: where it asks, the server's version, and what it has found.

use dbhaul_catalog::{Object, ServerVersion};
use dbhaul_postgres::Flight;
use serde::de::DeserializeOwned;

use crate::Error;

/// Reads one kind, or what belongs to all. Readers ask together: what none of them needs an answer for goes to
/// the server in one message.
pub(crate) struct Reader<'a> {
    flight: &'a Flight<'a>,
    objects: Vec<Object>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(flight: &'a Flight<'a>) -> Self {
        Reader { flight, objects: Vec::new() }
    }

    /// The server's version, by which a kind's SQL is gated.
    pub(crate) fn version(&self) -> ServerVersion {
        self.flight.session().version()
    }

    /// Runs one set-based catalog query; each row arrives as the JSON object of
    /// `row_to_json` and is read into `T`. `what` names the kind in errors.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        what: &'static str,
        sql: &str,
    ) -> Result<Vec<T>, Error> {
        self.flight.query_json(sql).await.map_err(|source| Error::Query { what, source })
    }

    /// As [`query`](Self::query), with each row handed on as it arrives, for what there are very many of.
    pub(crate) async fn query_each<T: DeserializeOwned>(
        &self,
        what: &'static str,
        sql: &str,
        take: impl FnMut(T),
    ) -> Result<(), Error> {
        self.flight.query_json_each(sql, take).await.map_err(|source| Error::Query { what, source })
    }

    /// Adds an object that was found.
    pub(crate) fn push(&mut self, object: Object) {
        self.objects.push(object);
    }

    /// Adds all objects of a kind.
    pub(crate) fn extend(&mut self, objects: Vec<Object>) {
        self.objects.extend(objects);
    }

    /// All that was found, at the end.
    pub(crate) fn into_objects(self) -> Vec<Object> {
        self.objects
    }
}
