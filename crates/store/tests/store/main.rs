//! What a store promises, for every kind of store, and what it does when the world misbehaves.

mod contract;
mod credentials;
mod directory;
mod errors;
mod manners;
mod retry;
mod server;
mod wrappers;
