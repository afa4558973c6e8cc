//! What a command says at its end: status, what was left out and why, and what explains a difference.

pub(crate) mod definitions;
pub(crate) mod explained;
pub(crate) mod import;
pub(crate) mod left_out;
pub(crate) mod progress_tables;
pub(crate) mod rows_left_out;
pub(crate) mod status;
pub(crate) mod words;
