//! What the readers of the kinds share: the session, the version, and the
//! objects found so far.

use dbhaul_catalog::{Object, ServerVersion};
use dbhaul_postgres::Session;
use serde::de::DeserializeOwned;

use crate::Error;

/// Reads kinds one after another over one session and gathers what they find.
pub(crate) struct Reader<'a> {
    session: &'a Session,
    version: ServerVersion,
    objects: Vec<Object>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(session: &'a Session, version: ServerVersion) -> Self {
        Reader { session, version, objects: Vec::new() }
    }

    /// The server's version, by which a kind's SQL is gated.
    pub(crate) fn version(&self) -> ServerVersion {
        self.version
    }

    /// Runs one set-based catalog query; each row arrives as the JSON object of
    /// `row_to_json` and is read into `T`. `what` names the kind in errors.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        what: &'static str,
        sql: &str,
    ) -> Result<Vec<T>, Error> {
        self.session.query_json(sql).await.map_err(|source| Error::Query { what, source })
    }

    /// As [`query`](Self::query), with each row handed on as it arrives, for what there are very many of.
    pub(crate) async fn query_each<T: DeserializeOwned>(
        &self,
        what: &'static str,
        sql: &str,
        take: impl FnMut(T),
    ) -> Result<(), Error> {
        self.session.query_json_each(sql, take).await.map_err(|source| Error::Query { what, source })
    }

    /// Adds an object that was found.
    pub(crate) fn push(&mut self, object: Object) {
        self.objects.push(object);
    }

    /// Adds all objects of a kind.
    pub(crate) fn extend(&mut self, objects: Vec<Object>) {
        self.objects.extend(objects);
    }

    /// The objects found so far.
    pub(crate) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The objects found so far, to be completed.
    pub(crate) fn objects_mut(&mut self) -> &mut [Object] {
        &mut self.objects
    }

    /// All objects, at the end.
    pub(crate) fn into_objects(self) -> Vec<Object> {
        self.objects
    }
}
