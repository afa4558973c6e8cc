//! Reasons against an import, each with a way out.

use std::fmt;

use dbhaul_catalog::{in_one_line, quote_identifier, quote_literal};
use dbhaul_progress::counted;

/// Why a target cannot take an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocker {
    /// It holds objects of the user's.
    NotEmpty {
        /// How many.
        count: u64,
        /// Some of them, as `pg_describe_object` names them.
        examples: Vec<String>,
        /// Whether an unfinished run was looked for in vain.
        nothing_to_resume: bool,
    },
    /// It holds objects that are to be made, and keeps them.
    InTheWay {
        /// Some of them, as `pg_restore -l` names them.
        names: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// Objects that stay, or that are dropped later, depend on what is dropped before the import, so that the drops would fail.
    DependsOnDropped {
        /// Some of them, as `pg_describe_object` names them, each with what it depends on.
        objects: Vec<(String, String)>,
        /// How many more there are.
        more: usize,
    },
    /// Tables would be dropped, with their rows, as partitions of what is dropped before the import, or keep it
    /// from being dropped as its children.
    ChildOfDropped {
        /// Some of them, as `pg_describe_object` names them, each with its parent.
        tables: Vec<(String, String)>,
        /// How many more there are.
        more: usize,
    },
    /// What is dropped before the import is of another kind there.
    OtherKind {
        /// Some of what is there, as `pg_describe_object` names it, each with what is dropped.
        objects: Vec<(String, String)>,
        /// How many more there are.
        more: usize,
    },
    /// The role owns neither what is dropped before the import nor its schema.
    MayNotDrop {
        /// Some of it, as `pg_describe_object` names it, each with what is dropped.
        objects: Vec<(String, String)>,
        /// How many more there are.
        more: usize,
    },
    /// A prepared transaction holds locks on what is dropped before the import.
    LockedByPrepared {
        /// The transaction's name.
        name: String,
        /// The relations, quoted, in one line each.
        relations: Vec<String>,
    },
    /// The target does not let the run keep its ledger there.
    LedgerRefused {
        /// The schema that it would be in.
        schema: String,
        /// What the server said.
        error: String,
    },
    /// Subscriptions that are dropped before the import have slots at their publishers.
    SubscriptionSlot {
        /// Their names.
        names: Vec<String>,
    },
    /// An unfinished import is there.
    Unfinished {
        /// Its run.
        run: String,
        /// The schema of its ledger.
        schema: String,
    },
    /// More than one unfinished import is there.
    SeveralRuns {
        /// The schemas of two ledgers.
        schemas: [String; 2],
    },
    /// The unfinished import is of something else.
    OtherSource {
        /// Its run.
        run: String,
        /// What it imports.
        found: String,
        /// What this one would.
        wanted: String,
    },
    /// The unfinished import was begun with another selection or other options.
    OtherPlan {
        /// Its run.
        run: String,
    },
    /// Schemas are not there, and are not among what is imported.
    MissingSchemas {
        /// Their names.
        names: Vec<String>,
    },
    /// An extension is not on offer.
    MissingExtension {
        /// Its name.
        name: String,
        /// Some of what needs it, as `pg_restore -l` names it.
        needed_by: Vec<String>,
        /// How many need it.
        needed_by_count: usize,
    },
    /// An extension whose creation was tried and refused, so that rows would be missing.
    RefusedExtension {
        /// Its name.
        name: String,
        /// What the server said.
        reason: String,
        /// Some of the rows that need it, as `pg_restore -l` names them.
        needed_by: Vec<String>,
        /// How many need it.
        needed_by_count: usize,
    },
    /// A tablespace is not there, or the role may not use it.
    Tablespace {
        /// Its name.
        name: String,
        /// Whether it is there.
        exists: bool,
    },
    /// An extension that others need is in another schema than on the source.
    ExtensionElsewhere {
        /// Its name.
        name: String,
        /// Where it is.
        found: String,
        /// Where the statements look for it, quoted.
        wanted: String,
    },
    /// An extension whose library the server must preload, and does not.
    NotPreloaded {
        /// Its name.
        name: String,
    },
    /// An extension that must be of the same version is there in another one.
    ExtensionVersion {
        /// Its name.
        name: String,
        /// Its version there.
        found: String,
        /// The version of the source, as a literal.
        wanted: String,
    },
    /// The role may not create tables in schema `public`.
    MayNotCreateInPublic {
        /// The importing role.
        role: String,
        /// Tables that are to be made there.
        table_count: usize,
    },
    /// The server is a standby.
    Standby,
    /// Transactions of the role in the database are read-only by default.
    ReadOnly,
    /// The role may not keep triggers out of loading.
    MayNotDisableTriggers {
        /// The importing role.
        role: String,
    },
    /// Tables or sequences that are to be filled and that the run does not make cannot be filled.
    CannotLoad {
        /// Some of them, each with why.
        problems: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// Rows that a function keeps from being loaded, whatever they are.
    KeepsRowsOut {
        /// Some of them, each with why.
        problems: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// Triggers that `--disable-triggers` does not keep from firing.
    FiresAlways {
        /// Their table, quoted.
        relation: String,
        /// Their names.
        triggers: String,
    },
    /// The role may not create schemas in the database.
    MayNotCreate {
        /// The importing role.
        role: String,
        /// The database.
        database: String,
    },
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blocker::NotEmpty { count, examples, nothing_to_resume } => {
                let examples_text = in_one_line(&examples.join(", "));
                write!(f, "the database is not empty: it holds {} ({examples_text}", counted(*count, "object"))?;
                let more = if *count > examples.len() as u64 { ", ..." } else { "" };
                if *nothing_to_resume {
                    write!(
                        f,
                        "{more}), but no unfinished run that --resume could go on with: if they are of a run \
                         that was stopped after its last step, they are complete, and `dbhaul verify` tells; else "
                    )?;
                    return f
                        .write_str("import into an empty database, or start over with --clean --if-exists");
                }
                write!(f, "{more}); import into an empty database, or ask for --clean or --allow-non-empty")
            }
            Blocker::InTheWay { names, more } => {
                write!(f, "it already holds objects that the run would create: {}", names.join(", "))?;
                if *more > 0 {
                    write!(f, " and {more} more")?;
                }
                f.write_str("; exclude these objects, drop them first, or use --clean")
            }
            Blocker::DependsOnDropped { objects, more } => write!(
                f,
                "what --clean drops later or not at all depends on what it drops, so that the DROP would fail: {}; drop \
                 these objects first, and create them again after the run if they are still needed",
                pairs(objects, "depends on", *more)
            ),
            Blocker::ChildOfDropped { tables, more } => write!(
                f,
                "what the run does not bring is a partition or child of a table that --clean drops, and would go \
                 with its rows or make the DROP fail: {}; take these tables out first with ALTER TABLE ... DETACH \
                 PARTITION or NO INHERIT, or drop them",
                pairs(tables, "belongs to", *more)
            ),
            Blocker::OtherKind { objects, more } => write!(
                f,
                "what --clean drops is something else there, so that the DROP would fail: {}; drop or rename these \
                 objects first",
                pairs(objects, "has the name of", *more)
            ),
            Blocker::MayNotDrop { objects, more } => {
                let objects: Vec<&str> = objects.iter().map(|(object, _)| object.as_str()).collect();
                let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
                write!(
                    f,
                    "the role owns neither these objects nor their schemas, so that --clean may not drop them: \
                     {}{more}; connect as their owner, or GRANT the owner's role to it",
                    objects.join(", ")
                )
            }
            Blocker::LockedByPrepared { name, relations } => {
                let name = in_one_line(&quote_literal(name));
                write!(
                    f,
                    "prepared transaction {name} holds locks on what --clean drops, and keeps them until somebody ends \
                     it: {}; COMMIT PREPARED {name} or ROLLBACK PREPARED {name} first",
                    relations.join(", ")
                )
            }
            Blocker::LedgerRefused { schema, error } => write!(
                f,
                "it refuses schema {schema}, in which the run would keep its ledger ({}); if an event trigger of the target \
                 is the cause, disable it for the time of the run: ALTER EVENT TRIGGER ... DISABLE",
                in_one_line(error)
            ),
            Blocker::SubscriptionSlot { names } => {
                let names: Vec<String> = names.iter().map(|name| quote_identifier(name)).collect();
                write!(
                    f,
                    "--clean cannot drop subscriptions that have a replication slot at their publisher: {}; DROP \
                     SUBSCRIPTION them first, or ALTER SUBSCRIPTION ... DISABLE and SET (slot_name = NONE), or give \
                     --no-subscriptions",
                    in_one_line(&names.join(", "))
                )
            }
            Blocker::Unfinished { run, schema } => write!(
                f,
                "it holds an unfinished import (run {run}, ledger in schema {schema}); go on with it by \
                 --resume, or start over with --clean --if-exists"
            ),
            Blocker::SeveralRuns { schemas: [first, second] } => write!(
                f,
                "it holds more than one unfinished import (ledgers in schemas {first} and {second}); \
                 drop the schema of the one that is not to be resumed"
            ),
            Blocker::OtherSource { run, found, wanted } => write!(
                f,
                "the unfinished run {run} imports {found}, not {wanted}; resume it with the same source, or \
                 start over with --clean --if-exists"
            ),
            Blocker::OtherPlan { run } => write!(
                f,
                "the unfinished run {run} was begun with another selection or other options; resume with \
                 the same, or start over with --clean"
            ),
            Blocker::MissingSchemas { names } => {
                let quoted: Vec<String> = names.iter().map(|name| quote_identifier(name)).collect();
                write!(
                    f,
                    "schema {} is not there, and a selection of tables brings none along; CREATE SCHEMA it first \
                     and give --allow-non-empty, or select it whole with -n",
                    quoted.join(", ")
                )
            }
            Blocker::MissingExtension { name, needed_by, needed_by_count } => {
                write!(f, "extension {} is not available there; install it", quote_identifier(name))?;
                write_needed_by(f, needed_by, *needed_by_count)
            }
            Blocker::RefusedExtension { name, reason, needed_by, needed_by_count } => {
                let name = quote_identifier(name);
                write!(
                    f,
                    "extension {name} cannot be created there: {}; solve that, or exclude it and its rows with \
                     --exclude-extension {name}",
                    in_one_line(reason)
                )?;
                write_needed_by(f, needed_by, *needed_by_count)
            }
            Blocker::Tablespace { name, exists } => {
                let problem = if *exists { "may not be used by the importing role" } else { "is not there" };
                write!(
                    f,
                    "tablespace {name:?} {problem}; create it or grant CREATE on it, give another one with \
                     --tablespace-map OLD=NEW, or use --no-tablespaces"
                )
            }
            Blocker::ExtensionElsewhere { name, found, wanted } => write!(
                f,
                "extension {} is in schema {} there, and what needs it looks for it in {wanted}; \
                 ALTER EXTENSION ... SET SCHEMA on one side first",
                quote_identifier(name),
                quote_identifier(found)
            ),
            Blocker::NotPreloaded { name } => write!(
                f,
                "extension {0} cannot be created there before the server preloads it: add {0} to \
                 shared_preload_libraries and restart the server",
                quote_identifier(name)
            ),
            Blocker::ExtensionVersion { name, found, wanted } => write!(
                f,
                "extension {0} is there in version {found}, and must have that of the source, {wanted}; ALTER \
                 EXTENSION {0} UPDATE on the older side, or DROP EXTENSION {0} on the target, which then creates it \
                 in that version",
                quote_identifier(name)
            ),
            Blocker::MayNotCreateInPublic { role, table_count } => {
                let role = quote_identifier(role);
                write!(
                    f,
                    "role {role} may not create in schema public, where {} must be created; GRANT CREATE ON SCHEMA \
                     public TO {role}, or make {role} the owner of the database",
                    counted(*table_count, "table")
                )
            }
            Blocker::Standby => {
                f.write_str("the server is a standby and cannot be written to; connect to its primary")
            }
            Blocker::ReadOnly => f.write_str(
                "default_transaction_read_only is on there, which somebody has set against writing; reset it, or \
                 write all the same with --allow-read-only",
            ),
            Blocker::MayNotDisableTriggers { role } => {
                let role = quote_identifier(role);
                write!(
                    f,
                    "role {role} may not disable triggers; connect as a superuser, or from 15 on GRANT SET ON \
                     PARAMETER session_replication_role TO {role}"
                )
            }
            Blocker::CannotLoad { problems, more } => {
                let more = if *more > 0 { format!("; and {more} more") } else { String::new() };
                write!(
                    f,
                    "the rows do not fit the existing tables: {}{more}; change that first, or exclude these tables \
                     with -T or --exclude-table-data",
                    problems.join("; ")
                )
            }
            Blocker::KeepsRowsOut { problems, more } => {
                let more = if *more > 0 { format!("; and {more} more") } else { String::new() };
                write!(
                    f,
                    "these rows cannot be loaded, whatever they are: {}{more}; or leave the rows out with \
                     --exclude-table-data",
                    problems.join("; ")
                )
            }
            Blocker::FiresAlways { relation, triggers } => write!(
                f,
                "table {relation} has triggers that fire although triggers are disabled: {triggers}; ALTER TABLE \
                 {relation} DISABLE TRIGGER them first, and ENABLE ALWAYS or ENABLE REPLICA afterwards"
            ),
            Blocker::MayNotCreate { role, database } => {
                let (role, database) = (quote_identifier(role), quote_identifier(database));
                write!(
                    f,
                    "role {role} lacks the CREATE privilege on the database; GRANT CREATE ON DATABASE {database} TO \
                     {role} first"
                )
            }
        }
    }
}

/// `view public.v depends on TABLE public.t, ...`.
fn pairs(pairs: &[(String, String)], relation: &str, more: usize) -> String {
    let texts = pairs.iter().map(|(one, other)| format!("{one} {relation} {other}"));
    let more = (more > 0).then(|| format!("and {more} more"));
    texts.chain(more).collect::<Vec<_>>().join(", ")
}

fn write_needed_by(f: &mut fmt::Formatter<'_>, needed_by: &[String], count: usize) -> fmt::Result {
    let more = if count > needed_by.len() { ", ..." } else { "" };
    match needed_by {
        [] => Ok(()),
        some => write!(f, " (needed by {}{more})", in_one_line(&some.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::Blocker;

    #[test]
    fn a_name_with_a_line_break_stays_in_one_line() {
        let examples = vec!["table \"new\nline\"".to_owned()];
        let blocker = Blocker::NotEmpty { count: 2, examples, nothing_to_resume: false }.to_string();
        assert!(blocker.contains("2 objects (table \"new\\nline\", ...)"), "{blocker}");
    }
}
