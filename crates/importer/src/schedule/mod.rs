//! Which step may run next; pure, no server.

mod lock;
mod loosen;
mod scheduler;

pub use lock::{Lock, LockMode};
pub(crate) use loosen::loosen;
pub use scheduler::{Node, NodeId, Scheduler};
