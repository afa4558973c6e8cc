//! What `verify` finds: each planted change, where it is, and nothing else; and no change where there is none.

#[path = "proof/findings.rs"]
mod findings;
#[path = "proof/live.rs"]
mod live;
#[path = "proof/moves.rs"]
mod moves;
#[path = "proof/rows.rs"]
mod rows;
#[path = "proof/settings.rs"]
mod settings;
#[path = "proof/types.rs"]
mod types;
