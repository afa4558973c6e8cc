//! What a store promises, for every kind of store, and what it does when the world misbehaves.
#![expect(clippy::unwrap_used, reason = "helpers of tests report by panicking, as tests do")]

mod contract;
mod credentials;
mod directory;
mod errors;
mod manners;
mod probe;
mod retry;
mod server;
mod wrappers;
