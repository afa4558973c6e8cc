//! What `verify` finds: each planted change, where it is, and nothing else; and no change where there is none.

#[path = "proof/computed.rs"]
mod computed;
#[path = "proof/database_changes.rs"]
mod database_changes;
#[path = "proof/findings.rs"]
mod findings;
#[path = "proof/function_changes.rs"]
mod function_changes;
#[path = "proof/large.rs"]
mod large;
#[path = "proof/live.rs"]
mod live;
#[path = "proof/moves.rs"]
mod moves;
#[path = "proof/objects.rs"]
mod objects;
#[path = "proof/rows.rs"]
mod rows;
#[path = "proof/schema_changes.rs"]
mod schema_changes;
#[path = "proof/settings.rs"]
mod settings;
#[path = "proof/table_changes.rs"]
mod table_changes;
#[path = "proof/type_changes.rs"]
mod type_changes;
#[path = "proof/types.rs"]
mod types;
#[path = "proof/upkeep.rs"]
mod upkeep;
#[path = "proof/view_changes.rs"]
mod view_changes;
