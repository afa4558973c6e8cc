//! Which step may run next; pure, no server.

mod lock;
mod scheduler;

pub use lock::{Lock, LockMode};
pub use scheduler::{Node, NodeId, Scheduler};
