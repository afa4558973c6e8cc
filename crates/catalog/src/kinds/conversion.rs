//! An encoding conversion.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_literal};

/// An encoding conversion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversion {
    /// Whether it is used unasked.
    pub default: bool,
    /// The encoding it takes.
    pub source: String,
    /// The encoding it yields.
    pub target: String,
    /// The function, as SQL.
    pub function: String,
}

impl Render for Conversion {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let create = format!(
            "CREATE {}CONVERSION {name} FOR {} TO {} FROM {}",
            if self.default { "DEFAULT " } else { "" },
            quote_literal(&self.source),
            quote_literal(&self.target),
            self.function
        );
        vec![Draft::owned(Section::PreData, EntryKind::Conversion, &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::Conversion;
    use crate::kinds::{Body, sample};

    #[test]
    fn conversions() {
        for (default, word) in [(false, ""), (true, "DEFAULT ")] {
            let conversion = Conversion {
                default,
                source: "LATIN1".to_owned(),
                target: "UTF8".to_owned(),
                function: "iso8859_1_to_utf8".to_owned(),
            };
            let expected = format!("CREATE {word}CONVERSION s.n FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;\n");
            sample::check(true, Body::from(conversion), &expected);
        }
    }
}
