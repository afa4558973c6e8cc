//! Why something is skipped, or has failed.

use std::fmt;

use dbhaul_catalog::QualifiedName;
use dbhaul_postgres::{Error, ServerError};

/// Why something is skipped, or has failed. Nobody decides anything by how it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The target lacks a role.
    MissingRole {
        /// Its name, unquoted.
        role: String,
    },
    /// The target lacks the role that granted it.
    MissingGrantor {
        /// Its name, unquoted.
        role: String,
    },
    /// The importing role may not become the owner.
    MayNotBecomeOwner {
        /// The owner's name, unquoted.
        role: String,
    },
    /// The importing role may not become the role that granted it.
    MayNotBecomeGrantor {
        /// Its name, unquoted.
        role: String,
    },
    /// The importing role may become the owner, and does not have its rights otherwise.
    NotInherited {
        /// The owner's name, unquoted.
        role: String,
    },
    /// The importing role may not grant or revoke on it.
    MayNotGrant,
    /// It cannot be granted in the name of the role that granted it.
    GrantorMayNot {
        /// Its name, quoted.
        role: String,
        /// What the server said; `None` where it granted nothing and said so in a warning.
        refusal: Option<Box<Cause>>,
    },
    /// It needs something that the selection left out.
    NotSelected {
        /// What it needs.
        needed: String,
    },
    /// It needs something that will not be made.
    Needs {
        /// What it needs, in one line.
        on: String,
        /// Why that will not be made.
        because: Box<Cause>,
    },
    /// It needs something that was not made.
    NotMade {
        /// What it needs, in one line.
        on: String,
    },
    /// A materialized view whose owner may not read what it is filled from.
    OwnerMayNotRead {
        /// The role whose rights count, quoted.
        role: String,
        /// The privilege that it lacks.
        privilege: String,
        /// On what, quoted.
        object: String,
    },
    /// A foreign key to rows that were to be left out.
    RowsLeftOut {
        /// Which rows, and why.
        reason: String,
    },
    /// A foreign key that is there and could not be validated, for rows that were to be left out.
    LeftNotValid {
        /// Which rows, and why.
        reason: String,
    },
    /// A materialized view that could not be filled.
    Unfilled {
        /// It.
        view: QualifiedName,
        /// What the server said.
        error: String,
    },
    /// The server refused it when it was tried.
    Refused {
        /// The SQLSTATE, where it was the server that refused.
        sqlstate: Option<String>,
        /// What it said, with its hint.
        message: String,
    },
    /// The server refused it when it was tried, and takes something else in its place.
    TakenOtherwise {
        /// What it said.
        refusal: Box<Cause>,
        /// The statement that it takes.
        statement: String,
    },
    /// A function that it calls cannot find what it names.
    FunctionFindsNothing {
        /// What the server said.
        refusal: Box<Cause>,
        /// The function with the types of its arguments, quoted.
        function: String,
        /// Its schema, quoted.
        schema: String,
    },
    /// The step failed.
    Failed {
        /// The SQLSTATE, where it was the target that refused.
        sqlstate: Option<String>,
        /// The error with its causes, detail, hint and context.
        error: String,
        /// What can be done about it.
        to_do: Option<String>,
    },
    /// The target committed it and has lost it since.
    Lost,
    /// As an earlier process of the run has recorded it.
    Recorded {
        /// Why.
        reason: String,
    },
}

impl Cause {
    /// What a server answered to something that was tried.
    pub(crate) fn refused(error: &Error) -> Self {
        match error.server_error() {
            Some(error) => Cause::refusal(error),
            None => Cause::Refused { sqlstate: None, message: error.to_string() },
        }
    }

    /// As [`Self::refused`], of the server's own error.
    pub(crate) fn refusal(error: &ServerError) -> Self {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("{}{hint}", error.message);
        Cause::Refused { sqlstate: Some(error.sqlstate.clone()), message }
    }

    /// Whether the server failed, or this role may not do there what was to be done: whatever is restored would fail so.
    pub fn is_of_the_server(&self) -> bool {
        match self {
            Cause::Failed { sqlstate: Some(sqlstate), .. } => is_of_the_server(sqlstate),
            Cause::Lost => true,
            Cause::Refused { sqlstate: Some(sqlstate), .. } => is_of_the_server(sqlstate),
            Cause::Needs { because, .. } | Cause::TakenOtherwise { refusal: because, .. } => {
                because.is_of_the_server()
            }
            Cause::NotMade { .. } => true,
            _ => false,
        }
    }

    /// What is said of what depends on it: one chain of needs, not a list of them.
    pub(crate) fn of_dependant(self, on: String) -> Self {
        Cause::Needs { on, because: Box::new(self) }
    }

    const fn is_need(&self) -> bool {
        matches!(self, Cause::Needs { .. } | Cause::NotSelected { .. } | Cause::NotMade { .. })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::MissingRole { role } => write!(
                f,
                "role \"{role}\" does not exist on the target (--roles used creates it, --role-map names another)"
            ),
            Cause::MissingGrantor { role } => {
                write!(f, "the grantor, role \"{role}\", does not exist on the target")
            }
            Cause::MayNotBecomeOwner { role } => write!(f, "the importing role may not SET ROLE \"{role}\""),
            Cause::MayNotBecomeGrantor { role } => {
                write!(f, "the importing role may not SET ROLE \"{role}\", the grantor")
            }
            Cause::NotInherited { role } => {
                write!(f, "the importing role does not inherit the rights of role \"{role}\"")
            }
            Cause::MayNotGrant => f.write_str("the importing role may not grant or revoke there"),
            Cause::GrantorMayNot { role, refusal } => {
                write!(f, "cannot be done as role {role}, which granted it: ")?;
                match refusal {
                    Some(refusal) => write!(f, "{refusal}"),
                    None => f.write_str("that role may not grant or revoke there"),
                }
            }
            Cause::NotSelected { needed } => {
                write!(f, "needs {needed}, which is not selected (--with-dependencies includes it)")
            }
            Cause::Needs { on, because } if because.is_need() => write!(f, "needs {on}, which {because}"),
            Cause::Needs { on, because } => write!(f, "needs {on}: {because}"),
            Cause::NotMade { on } => write!(f, "needs {on}, which was not created"),
            Cause::OwnerMayNotRead { role, privilege, object } => write!(
                f,
                "role {role}, whose rights REFRESH uses, lacks {privilege} on {object} on the target; GRANT \
                 {privilege} ON {object} TO {role}, then REFRESH MATERIALIZED VIEW"
            ),
            Cause::RowsLeftOut { reason } | Cause::Recorded { reason } => f.write_str(reason),
            Cause::LeftNotValid { reason } => {
                write!(f, "created, but left NOT VALID, so that it is enforced for new rows only: {reason}")
            }
            Cause::Unfilled { view, error } => write!(
                f,
                "left unfilled, to be filled by REFRESH MATERIALIZED VIEW {} when it can be: {error}",
                view.sql()
            ),
            Cause::Refused { message, .. } => f.write_str(message),
            Cause::TakenOtherwise { refusal, statement } => {
                write!(f, "{refusal}; the target would take this: {statement}")
            }
            Cause::FunctionFindsNothing { refusal, function, schema } => write!(
                f,
                "{refusal}; function {function} is called without a search path, as pg_restore calls it, and finds \
                 nothing that it names without a schema; on the source: ALTER FUNCTION {function} SET search_path = \
                 {schema}"
            ),
            Cause::Failed { error, to_do, .. } => {
                f.write_str(error)?;
                to_do.iter().try_for_each(|to_do| write!(f, "\n{to_do}"))
            }
            Cause::Lost => f.write_str(
                "the target lost this step, which it had committed: it was restarted after a crash; resume the run",
            ),
        }
    }
}

/// Whether an SQLSTATE is about the server or the rights there, and not about what it was told to do (PostgreSQL
/// documentation, "PostgreSQL Error Codes").
fn is_of_the_server(sqlstate: &str) -> bool {
    /// Insufficient privilege; read-only transaction; a feature, or the files of an extension, that it lacks.
    const CODES: [&str; 3] = ["42501", "25006", "0A000"];
    /// Connection, authorization, rollback (deadlocks), insufficient resources, not in a state for it (locks), operator
    /// intervention, system error, configuration file, internal error.
    const CLASSES: [&str; 9] = ["08", "28", "40", "53", "55", "57", "58", "F0", "XX"];
    CODES.contains(&sqlstate) || CLASSES.iter().any(|class| sqlstate.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn trouble_of_the_server_is_told_from_that_of_what_is_restored() {
        let failed = |sqlstate: Option<&str>| {
            let (sqlstate, error) = (sqlstate.map(str::to_owned), String::new());
            Cause::Failed { sqlstate, error, to_do: None }
        };
        for of_server in ["42501", "25006", "0A000", "53100", "57P01", "08006", "55P03", "58P01", "XX000"] {
            assert!(failed(Some(of_server)).is_of_the_server(), "{of_server}");
        }
        for own in ["22P02", "23503", "23505", "42601", "42P01", "42883", "P0001", "2BP01"] {
            assert!(!failed(Some(own)).is_of_the_server(), "{own}");
        }
        // other rows than were sent
        assert!(!failed(None).is_of_the_server());
    }

    #[test]
    fn needs_make_one_chain() {
        let missing = Cause::MissingRole { role: "app".to_owned() };
        let policy = missing.of_dependant("POLICY public.t p".to_owned());
        let of_role = "role \"app\" does not exist on the target (--roles used creates it, --role-map names \
                       another)";
        assert_eq!(policy.to_string(), format!("needs POLICY public.t p: {of_role}"));
        let comment = policy.of_dependant("TABLE public.t".to_owned());
        let chain = format!("needs TABLE public.t, which needs POLICY public.t p: {of_role}");
        assert_eq!(comment.to_string(), chain);
        // a server's words may begin so too, and are no need of ours
        let refused =
            Cause::Refused { sqlstate: Some("XX000".to_owned()), message: "needs more memory".to_owned() };
        let dependant = refused.of_dependant("TABLE public.t".to_owned());
        assert_eq!(dependant.to_string(), "needs TABLE public.t: needs more memory");
    }
}
