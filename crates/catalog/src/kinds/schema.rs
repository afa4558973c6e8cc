//! A schema.

use serde::{Deserialize, Serialize};

use crate::Object;
use crate::render::{Draft, Render, Target};

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {}

impl Render for Schema {
    fn render(&self, _object: &Object, _target: &Target) -> Vec<Draft> {
        Vec::new()
    }
}
