//! The format: round trips, damage, and backups of every released version.

mod damage;
mod fixture;
mod golden;
mod keys;
mod manifest;
mod pack;
mod segment_list;
