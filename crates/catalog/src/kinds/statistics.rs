//! Extended statistics.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::Section;

/// Extended statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// `pg_get_statisticsobjdef`.
    pub definition: String,
    /// `stxstattarget`, where set.
    pub statistics_target: Option<i32>,
}

impl Render for Statistics {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let mut create = vec![self.definition.clone()];
        create.extend(
            self.statistics_target.map(|target| format!("ALTER STATISTICS {name} SET STATISTICS {target}")),
        );
        vec![Draft {
            create,
            ..Draft::owned(Section::PostData, EntryKind::Statistics, &name, String::new())
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::Statistics;
    use crate::kinds::{Body, sample};

    #[test]
    fn statistics_with_a_target() {
        let definition = "CREATE STATISTICS s.n (ndistinct) ON a, b FROM s.t".to_owned();
        sample::check(
            true,
            Body::from(Statistics { definition, statistics_target: Some(1000) }),
            "CREATE STATISTICS s.n (ndistinct) ON a, b FROM s.t;\nALTER STATISTICS s.n SET STATISTICS 1000;\n",
        );
    }
}
