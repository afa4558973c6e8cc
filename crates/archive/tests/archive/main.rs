//! The format: round trips, damage, and backups of every released version.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail by panicking")]

mod damage;
mod encryption;
mod fixture;
mod golden;
mod keys;
mod manifest;
mod mutations;
mod pack;
mod segment_list;
