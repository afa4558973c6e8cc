//! Small backups in a store in memory that fails, under a clock that a test sets: each request of a cycle struck once,
//! and many writers and pruners at once.

mod faults;
mod memory;
mod model;
mod repack;
mod sleep;
mod small;
mod stage;
