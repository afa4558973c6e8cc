//! A domain.

use serde::{Deserialize, Serialize};

use crate::Object;
use crate::render::{Draft, Render, Target};

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {}

impl Render for Domain {
    fn render(&self, _object: &Object, _target: &Target) -> Vec<Draft> {
        Vec::new()
    }
}
