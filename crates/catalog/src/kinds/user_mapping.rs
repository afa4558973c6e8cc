//! A user mapping.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, Secret, quote_identifier, quote_literal};

/// A user mapping; the object's name is `USER MAPPING user SERVER server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMapping {
    /// The user; `None` for `PUBLIC`.
    pub user: Option<String>,
    /// The server, unquoted.
    pub server: String,
    /// Options: name, value, in order of name; values may be passwords. `None`
    /// where the role that read the catalog may not see them: the mapping is
    /// then made without options, which must be reported.
    pub options: Option<Vec<(String, Secret)>>,
}

impl Render for UserMapping {
    fn render(&self, _object: &Object, _target: &Target) -> Vec<Draft> {
        let user = self.user.as_deref().map_or("PUBLIC".to_owned(), quote_identifier);
        let name = format!("FOR {user} SERVER {}", quote_identifier(&self.server));
        let options: Vec<String> = self
            .options
            .iter()
            .flatten()
            .map(|(option, value)| format!("{} {}", quote_identifier(option), quote_literal(value.reveal())))
            .collect();
        let clause =
            if options.is_empty() { String::new() } else { format!(" OPTIONS ({})", options.join(", ")) };
        let create = format!("CREATE USER MAPPING {name}{clause}");
        vec![Draft {
            drop: Some(DropStatement { command: "DROP USER MAPPING".to_owned(), object: name }),
            ..Draft::new(Section::PreData, EntryKind::UserMapping, create)
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::UserMapping;
    use crate::Secret;
    use crate::kinds::{Body, sample};

    #[test]
    fn user_mappings() {
        let options = vec![("password".to_owned(), Secret::new("x'"))];
        for (user, options, expected) in [
            (None, None, "CREATE USER MAPPING FOR PUBLIC SERVER s;\n"),
            (Some("A"), Some(options), "CREATE USER MAPPING FOR \"A\" SERVER s OPTIONS (password 'x''');\n"),
        ] {
            let body = UserMapping { user: user.map(str::to_owned), server: "s".to_owned(), options };
            sample::check(false, Body::from(body), expected);
        }
    }
}
