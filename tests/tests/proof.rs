//! What `verify` finds: each planted change, where it is, and nothing else; and no change where there is none.

#[path = "proof/findings.rs"]
mod findings;
#[path = "proof/live.rs"]
mod live;
#[path = "proof/moves.rs"]
mod moves;
#[path = "proof/objects.rs"]
mod objects;
#[path = "proof/other_changes.rs"]
mod other_changes;
#[path = "proof/rows.rs"]
mod rows;
#[path = "proof/settings.rs"]
mod settings;
#[path = "proof/table_changes.rs"]
mod table_changes;
#[path = "proof/types.rs"]
mod types;
