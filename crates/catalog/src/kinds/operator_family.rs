//! An operator family.

use serde::{Deserialize, Serialize};

use crate::Object;
use crate::render::{Draft, Render, Target};

/// An operator family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorFamily {}

impl Render for OperatorFamily {
    fn render(&self, _object: &Object, _target: &Target) -> Vec<Draft> {
        Vec::new()
    }
}
