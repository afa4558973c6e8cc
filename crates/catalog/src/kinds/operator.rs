//! An operator.

use serde::{Deserialize, Serialize};

use crate::Object;
use crate::render::{Draft, Render, Target};

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {}

impl Render for Operator {
    fn render(&self, _object: &Object, _target: &Target) -> Vec<Draft> {
        Vec::new()
    }
}
