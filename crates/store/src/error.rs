//! What can go wrong in a store, named by store, operation and key.

use std::fmt;
use std::sync::Arc;

/// What a store was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// [`open`](crate::open) or the parsing of a URL.
    Open,
    /// [`Store::put`](crate::Store::put).
    Put,
    /// [`Store::get`](crate::Store::get).
    Get,
    /// [`Store::get_range`](crate::Store::get_range).
    GetRange,
    /// [`Store::head`](crate::Store::head).
    Head,
    /// [`Store::list_page`](crate::Store::list_page).
    List,
    /// [`Store::delete`](crate::Store::delete) and [`Store::delete_many`](crate::Store::delete_many).
    Delete,
}

impl Operation {
    /// The verb used in messages.
    pub fn verb(self) -> &'static str {
        match self {
            Operation::Open => "open",
            Operation::Put => "write",
            Operation::Get | Operation::GetRange => "read",
            Operation::Head => "look up",
            Operation::List => "list",
            Operation::Delete => "delete",
        }
    }
}

/// The class of a failure: what a caller can decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No object has this key.
    NotFound,
    /// The directory or bucket itself does not exist.
    MissingStore,
    /// An object with this key exists and the call asked for [`PutMode::Create`](crate::PutMode::Create).
    AlreadyExists,
    /// Known to the store, but not allowed.
    PermissionDenied,
    /// Disk full, quota exceeded, or object larger than the store takes.
    OutOfSpace,
    /// The store does not accept the credentials, or there are none.
    Auth,
    /// No answer, or only part of one: name resolution, connection, TLS, timeout, connection lost.
    Unreachable,
    /// The store asks to slow down.
    Throttled,
    /// The store answered that it failed (HTTP 5xx), or that a concurrent write got in the way.
    ServerFault,
    /// The object is there, but it is not what it should be: shorter than the range asked for, or changing.
    Damaged,
    /// The store cannot do this.
    Unsupported,
    /// The key, prefix or URL is not well formed.
    Invalid,
    /// Cancelled.
    Interrupted,
    /// Anything else; see the source.
    Other,
}

impl ErrorKind {
    /// Whether the same call may succeed if made again a little later.
    pub fn is_transient(self) -> bool {
        matches!(self, ErrorKind::Unreachable | ErrorKind::Throttled | ErrorKind::ServerFault)
    }

    /// What happened, and the way out where there is one.
    fn phrase(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "there is no such object",
            ErrorKind::MissingStore => "the store does not exist; check its name, or create it",
            ErrorKind::AlreadyExists => "an object with this key already exists",
            ErrorKind::PermissionDenied => {
                "permission denied; grant this user read, write, list and delete there"
            }
            ErrorKind::OutOfSpace => "the store is full; free space, raise its quota, or use another store",
            ErrorKind::Auth => "the credentials were not accepted; check the key, secret, profile and region",
            ErrorKind::Unreachable => "the store does not answer; check its endpoint and the network",
            ErrorKind::Throttled => "the store asks to slow down; use fewer jobs or try later",
            ErrorKind::ServerFault => "the store failed to serve the request; try later",
            ErrorKind::Damaged => "the object is damaged",
            ErrorKind::Unsupported => "the store cannot do this",
            ErrorKind::Invalid => "not well formed",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::Other => "unexpected failure",
        }
    }
}

/// The underlying error of a [`StoreError`].
pub type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A failed store operation. Displays as one sentence that names operation, key,
/// store and the way out; the cause, if any, is its `source()` and not repeated.
#[derive(Debug, thiserror::Error)]
pub struct StoreError {
    kind: ErrorKind,
    operation: Operation,
    store: Arc<str>,
    key: Option<String>,
    detail: Option<String>,
    #[source]
    source: Option<Source>,
}

impl StoreError {
    /// An error about `store` (its [`describe`](crate::Store::describe)).
    pub fn new(kind: ErrorKind, operation: Operation, store: impl Into<Arc<str>>) -> Self {
        StoreError { kind, operation, store: store.into(), key: None, detail: None, source: None }
    }

    /// Names the object (or prefix) concerned.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Replaces the general phrase of the kind by a more precise one.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Attaches the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, told as a failure to open the store.
    #[must_use]
    pub(crate) fn during_open(mut self) -> Self {
        self.operation = Operation::Open;
        self.key = None;
        if self.kind == ErrorKind::NotFound {
            self.kind = ErrorKind::MissingStore;
        }
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the store was asked to do.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The object or prefix concerned, if one was.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The store's [`describe`](crate::Store::describe).
    pub fn store(&self) -> &str {
        &self.store
    }

    /// Whether the same call may succeed if made again a little later.
    pub fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }

    /// Whether the request may have taken effect all the same, or still may.
    pub fn leaves_doubt(&self) -> bool {
        use ErrorKind::{Interrupted, Other, ServerFault, Unreachable};
        matches!(self.kind, Unreachable | ServerFault | Interrupted | Other)
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// Whether the object exists although it was to be created.
    pub fn is_already_exists(&self) -> bool {
        self.kind == ErrorKind::AlreadyExists
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} ", self.operation.verb())?;
        match &self.key {
            Some(key) => write!(f, "{key:?} in store {}", self.store)?,
            None => write!(f, "store {}", self.store)?,
        }
        write!(f, ": {}", self.detail.as_deref().unwrap_or_else(|| self.kind.phrase()))
    }
}
