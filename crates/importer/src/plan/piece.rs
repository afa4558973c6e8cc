//! A statement of an entry as it is sent.

/// A statement, and in whose name it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    sql: String,
    around: Option<Around>,
}

/// The grantor, and what takes on its name before and lays it down after.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Around {
    role: String,
    before: String,
    after: &'static str,
}

impl Piece {
    /// A statement in the importing role's name.
    pub(crate) fn plain(sql: String) -> Self {
        Piece { sql, around: None }
    }

    /// A statement in the name of a role, given quoted, which `SET SESSION AUTHORIZATION` or `SET ROLE` takes on.
    pub(crate) fn in_the_name_of(role: &str, by_session: bool, sql: String) -> Self {
        let (before, after) = match by_session {
            true => (format!("SET SESSION AUTHORIZATION {role}"), "RESET SESSION AUTHORIZATION"),
            false => (format!("SET ROLE {role}"), "RESET ROLE"),
        };
        Piece { sql, around: Some(Around { role: role.to_owned(), before, after }) }
    }

    /// The role in whose name it is run, quoted, if that is not the importing one.
    pub(crate) fn grantor(&self) -> Option<&str> {
        self.around.as_ref().map(|around| around.role.as_str())
    }

    /// All of it, by which it is known.
    pub(crate) fn text(&self) -> String {
        match &self.around {
            Some(Around { before, after, .. }) => format!("{before};\n{};\n{after}", self.sql),
            None => self.sql.clone(),
        }
    }

    /// The messages that it is sent in, one statement each.
    pub(crate) fn into_messages(self) -> impl Iterator<Item = String> {
        let (before, after) = self.around.map(|around| (around.before, around.after)).unzip();
        before.into_iter().chain([self.sql]).chain(after.map(str::to_owned))
    }
}

/// The messages that statements are sent in.
pub(crate) fn messages(pieces: impl IntoIterator<Item = Piece>) -> impl Iterator<Item = String> {
    pieces.into_iter().flat_map(Piece::into_messages)
}
