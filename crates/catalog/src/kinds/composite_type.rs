//! A stand-alone composite type.

use serde::{Deserialize, Serialize};

use crate::Object;
use crate::render::{Draft, Render, Target};

/// A stand-alone composite type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompositeType {}

impl Render for CompositeType {
    fn render(&self, _object: &Object, _target: &Target) -> Vec<Draft> {
        Vec::new()
    }
}
