//! Where a command reads and writes: flags first, then the environment.

use std::cell::RefCell;

use dbhaul_pipeline::{ConnectSettings, StoreKeys, StoreUrl, VerifySide};

use super::{Environment, UsageError, backup_ref, keys};
use crate::args::{BackupArgs, LetterArgs, OtherBackupArgs, ReaderKeyArgs, WriterKeyArgs};
use crate::secrets;

fn writer_flags(args: &WriterKeyArgs) -> [(&'static str, bool); 2] {
    [("--writer-key", args.writer_key.is_some()), ("--store-fingerprint", args.store_fingerprint.is_some())]
}

fn refuse_keys(given: &[(&str, bool)]) -> Result<(), UsageError> {
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => Err(UsageError::new(format!("{flag} is for an encrypted store: give --store"))),
    }
}

/// Variables of libpq that say which database is meant.
const LIBPQ_PLACES: [&str; 5] = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE"];

/// The places named on the command line, with the environment to fall back on.
pub(super) struct Places<'a> {
    environment: Environment<'a>,
    source: Option<String>,
    source_role: Option<String>,
    target: Option<String>,
    target_role: Option<String>,
    store: Option<String>,
    keys: StoreKeys,
    /// Variables that letters beside a URI stand for: as with libpq, the URI comes first and the environment last.
    letters: Vec<(&'static str, String)>,
    /// Whether letters and not `--source` or `--target` say which database is meant.
    named_by_letters: bool,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(environment: Environment<'a>) -> Self {
        Places {
            environment,
            source: None,
            source_role: None,
            target: None,
            target_role: None,
            store: None,
            keys: StoreKeys::default(),
            letters: Vec::new(),
            named_by_letters: false,
            warnings: RefCell::default(),
        }
    }

    /// The source by `pg_dump`'s letters, where they are given.
    pub(super) fn source_letters(self, letters: &LetterArgs) -> Result<Self, UsageError> {
        refuse_two_names(letters, self.source.as_deref(), "--source")?;
        refuse_mistyped(letters)?;
        let (text, letters) = connection_text(letters);
        let (source, named_by_letters) = (self.source.clone().or_else(|| text.clone()), text.is_some());
        Ok(Places { source, letters, named_by_letters, ..self })
    }

    /// The target by `pg_restore`'s letters, where they are given.
    pub(super) fn target_letters(self, letters: &LetterArgs) -> Result<Self, UsageError> {
        refuse_two_names(letters, self.target.as_deref(), "--target")?;
        refuse_mistyped(letters)?;
        let (text, letters) = connection_text(letters);
        let (target, named_by_letters) = (self.target.clone().or_else(|| text.clone()), text.is_some());
        Ok(Places { target, letters, named_by_letters, ..self })
    }

    /// The database that is compared with a backup, by letters where they are given.
    pub(super) fn verify_letters(
        self,
        letters: &LetterArgs,
        backup: &BackupArgs,
    ) -> Result<Self, UsageError> {
        let Some(flag) = letters.given().first().map(|(keyword, _)| flag_of(keyword)) else {
            return Ok(self);
        };
        let is_of_backup =
            self.store_text().is_some() || backup.backup.is_some() || backup.database.is_some();
        if !is_of_backup || self.source.is_some() {
            return Err(UsageError::new(format!(
                "{flag} names one database, to be compared with a backup: give --store, or give both databases with \
                 --source and --target"
            )));
        }
        self.target_letters(letters)
    }

    pub(super) fn source(self, source: Option<String>, source_role: Option<String>) -> Self {
        Places { source, source_role, ..self }
    }

    pub(super) fn target(self, target: Option<String>, target_role: Option<String>) -> Self {
        Places { target, target_role, ..self }
    }

    pub(super) fn store(self, store: Option<String>) -> Self {
        Places { store, ..self }
    }

    /// What opens the store; without a store, a key that was typed is a mistake.
    pub(super) fn reader_keys(self, args: &ReaderKeyArgs) -> Result<Self, UsageError> {
        if self.store_text().is_none() {
            return self.no_keys(args);
        }
        Ok(Places { keys: keys::of_reader(args, self.environment)?, ..self })
    }

    /// The same of what a writer has.
    pub(super) fn writer_keys(self, args: &WriterKeyArgs) -> Result<Self, UsageError> {
        if self.store_text().is_none() {
            refuse_keys(&writer_flags(args))?;
            return Ok(self);
        }
        Ok(Places { keys: keys::of_writer(args, self.environment)?, ..self })
    }

    /// Refuses keys where no store is read.
    pub(super) fn no_keys(self, args: &ReaderKeyArgs) -> Result<Self, UsageError> {
        refuse_keys(&[
            ("--identity-file", args.identity_file.is_some()),
            ("--identity-command", args.identity_command.is_some()),
            ("--passphrase-file", args.passphrase_file.is_some()),
            ("--passphrase-command", args.passphrase_command.is_some()),
        ])?;
        refuse_keys(&writer_flags(&args.writer))?;
        Ok(self)
    }

    /// The keys, and what to warn of.
    pub(super) fn into_parts(self) -> (StoreKeys, Vec<String>) {
        (self.keys, self.warnings.into_inner())
    }

    /// Refuses to let both databases be the one that libpq's environment names.
    pub(super) fn check_both_named(&self) -> Result<(), UsageError> {
        match (self.source_text(), self.target_text()) {
            (None, None) => Err(missing("--source and --target", "DBHAUL_SOURCE, DBHAUL_TARGET")),
            _ => Ok(()),
        }
    }

    pub(super) fn require_source(&self) -> Result<ConnectSettings, UsageError> {
        let settings = self.connection("--source", "DBHAUL_SOURCE", self.source.as_deref())?;
        Ok(settings.with_role(self.source_role_text().as_deref()))
    }

    pub(super) fn require_target(&self) -> Result<ConnectSettings, UsageError> {
        let settings = self.connection("--target", "DBHAUL_TARGET", self.target.as_deref())?;
        let role = self.target_role.clone().or_else(|| self.variable("DBHAUL_TARGET_ROLE"));
        Ok(settings.with_role(role.as_deref()))
    }

    pub(super) fn optional_source(&self) -> Result<Option<ConnectSettings>, UsageError> {
        self.source_text().map(|_| self.require_source()).transpose()
    }

    /// The variables that say to another process where the source is, as far as libpq's do not.
    pub(super) fn source_variables(&self) -> Vec<(&'static str, String)> {
        let source = self.source_text().map(|source| ("DBHAUL_SOURCE", source));
        let role = self.source_role_text().map(|role| ("DBHAUL_SOURCE_ROLE", role));
        source.into_iter().chain(role).collect()
    }

    fn source_role_text(&self) -> Option<String> {
        self.source_role.clone().or_else(|| self.variable("DBHAUL_SOURCE_ROLE"))
    }

    pub(super) fn optional_target(&self) -> Result<Option<ConnectSettings>, UsageError> {
        self.target_text().map(|_| self.require_target()).transpose()
    }

    pub(super) fn require_store(&self) -> Result<StoreUrl, UsageError> {
        self.optional_store()?.ok_or_else(|| missing("--store", "DBHAUL_STORE"))
    }

    pub(super) fn optional_store(&self) -> Result<Option<StoreUrl>, UsageError> {
        let Some(text) = self.store_text() else { return Ok(None) };
        StoreUrl::parse(&text).map(Some).map_err(|error| UsageError::new(format!("--store: {error}")))
    }

    /// The two sides of a verification. Flags decide which; the environment fills in what they leave open.
    pub(super) fn verify_sides(
        &self,
        backup: Option<&str>,
        database: Option<String>,
        other: &OtherBackupArgs,
    ) -> Result<(VerifySide, VerifySide), UsageError> {
        if other.other_backup.is_some() || other.other_store.is_some() {
            return self.with_other_backup(backup, database, other);
        }
        let backup_is_asked_for =
            self.store.is_some() || backup.is_some() || database.is_some() || self.named_by_letters;
        let both_live = self.source_text().is_some() && self.target_text().is_some();
        let store_is_known = self.store_text().is_some();
        if !backup_is_asked_for && (both_live || !store_is_known) {
            self.check_both_named()?;
            let (source, target) = (self.require_source()?, self.require_target()?);
            check_distinct(&source, &target, false)?;
            return Ok((VerifySide::Live(source), VerifySide::Live(target)));
        }
        if self.source.is_some() && self.target.is_some() {
            let problem = "two sides are compared: give two of --source, --target and --store, not all three";
            return Err(UsageError::new(problem));
        }
        let (store, backup) = (self.require_store()?, backup_ref(backup)?);
        let backup = VerifySide::Backup { store, backup, database, rows_were_read: false };
        let prefers_source = self.source.is_some() || (self.target.is_none() && self.target_text().is_none());
        let live = match prefers_source {
            true if self.source_text().is_some() => self.require_source()?,
            _ => self.require_target()?,
        };
        Ok((backup, VerifySide::Live(live)))
    }

    /// The two sides where the right one is a backup.
    fn with_other_backup(
        &self,
        backup: Option<&str>,
        database: Option<String>,
        other: &OtherBackupArgs,
    ) -> Result<(VerifySide, VerifySide), UsageError> {
        if self.target.is_some() || (self.source.is_some() && backup.is_some()) {
            let problem =
                "two sides are compared: beside --other-backup give --source, or --store and --backup, alone";
            return Err(UsageError::new(problem));
        }
        let other_store = match &other.other_store {
            Some(text) => {
                StoreUrl::parse(text).map_err(|error| UsageError::new(format!("--other-store: {error}")))?
            }
            None => self.require_store()?,
        };
        let right = VerifySide::Backup {
            store: other_store.clone(),
            backup: backup_ref(other.other_backup.as_deref())?,
            database: database.clone(),
            rows_were_read: false,
        };
        if self.source.is_some() {
            return Ok((VerifySide::Live(self.require_source()?), right));
        }
        let (store, left_backup) = (self.require_store()?, backup_ref(backup)?);
        if store == other_store && left_backup == backup_ref(other.other_backup.as_deref())? {
            let problem =
                "--backup and --other-backup are the same backup: give two, or the database of --source";
            return Err(UsageError::new(problem));
        }
        let left = VerifySide::Backup { store, backup: left_backup, database, rows_were_read: false };
        Ok((left, right))
    }

    fn source_text(&self) -> Option<String> {
        self.source.clone().or_else(|| self.variable("DBHAUL_SOURCE"))
    }

    fn target_text(&self) -> Option<String> {
        self.target.clone().or_else(|| self.variable("DBHAUL_TARGET"))
    }

    fn store_text(&self) -> Option<String> {
        self.store.clone().or_else(|| self.variable("DBHAUL_STORE"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    fn connection(
        &self,
        flag: &str,
        variable: &str,
        typed: Option<&str>,
    ) -> Result<ConnectSettings, UsageError> {
        let flag = if self.named_by_letters { "-h, -p, -U, -d" } else { flag };
        let text = typed.map(str::to_owned).or_else(|| self.variable(variable));
        if text.is_none() && !LIBPQ_PLACES.iter().any(|name| self.variable(name).is_some()) {
            return Err(missing(flag, variable));
        }
        let environment = |name: &str| {
            let letter = self.letters.iter().find(|(variable, _)| *variable == name);
            letter.map(|(_, value)| value.clone()).or_else(|| (self.environment)(name))
        };
        let settings = ConnectSettings::resolve(text.as_deref(), &environment).map_err(|error| {
            let name = if typed.is_none() && text.is_some() { variable } else { flag };
            UsageError::new(secrets::redact(&format!("{name}: {error}")))
        })?;
        let mut warnings = self.warnings.borrow_mut();
        warnings.extend(settings.warnings().iter().map(|warning| format!("{flag}: {warning}")));
        if typed.is_some_and(secrets::holds_password) {
            warnings.push(format!(
                "the password in {flag} shows in the list of processes; better set {variable}, PGPASSWORD \
                 or a password file"
            ));
        }
        Ok(settings)
    }
}

/// What letters make of a connection string, and what stands beside one that is a URI.
fn connection_text(letters: &LetterArgs) -> (Option<String>, Vec<(&'static str, String)>) {
    let (names, others): (Vec<_>, Vec<_>) =
        letters.given().into_iter().partition(|(keyword, _)| *keyword == "dbname");
    let name = names.first().map(|(_, name)| *name);
    let is_uri = |name: &str| name.starts_with("postgres://") || name.starts_with("postgresql://");
    if let Some(uri) = name.filter(|name| is_uri(name)) {
        let variables = others.iter().map(|(keyword, value)| (variable_of(keyword), (*value).to_owned()));
        return (Some(uri.to_owned()), variables.collect());
    }
    let mut words: Vec<String> =
        others.iter().map(|(keyword, value)| format!("{keyword}={}", quoted(value))).collect();
    // What looks like a connection string is one, and beats the letters beside it, as with pg_dump.
    words.extend(name.map(|name| match name.contains('=') {
        true => name.to_owned(),
        false => format!("dbname={}", quoted(name)),
    }));
    (Some(words.join(" ")).filter(|text| !text.is_empty()), Vec::new())
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

fn variable_of(keyword: &str) -> &'static str {
    match keyword {
        "host" => "PGHOST",
        "port" => "PGPORT",
        _ => "PGUSER",
    }
}

fn flag_of(keyword: &str) -> &'static str {
    match keyword {
        "host" => "-h",
        "port" => "-p",
        "user" => "-U",
        _ => "-d",
    }
}

fn refuse_two_names(letters: &LetterArgs, typed: Option<&str>, flag: &str) -> Result<(), UsageError> {
    match (letters.given().first(), typed) {
        (Some((keyword, _)), Some(_)) => {
            let letter = flag_of(keyword);
            Err(UsageError::new(format!(
                "{letter} and {flag} both say which database is meant: give one of them"
            )))
        }
        _ => Ok(()),
    }
}

/// Refuses what was meant as a URI and is none, such as `postgres:/u:secret@host/db`: as the name of a database it would
/// be shown.
fn refuse_mistyped(letters: &LetterArgs) -> Result<(), UsageError> {
    let is_scheme = |text: &str| {
        let rest = text.strip_prefix("postgresql").or_else(|| text.strip_prefix("postgres"));
        rest.is_some_and(|rest| rest.starts_with([':', '/']) && !rest.starts_with("://"))
    };
    let is_mistyped =
        |text: &str| !text.contains("://") && (is_scheme(text) || text.contains(':') && text.contains('@'));
    match letters
        .given()
        .iter()
        .find(|(keyword, text)| *keyword != "host" && !text.contains('=') && is_mistyped(text))
    {
        Some((keyword, _)) => Err(UsageError::new(format!(
            "what {} names looks like a URI with a mistake in it; a URI begins with postgres:// (it is not shown \
             here, since it may hold a password)",
            flag_of(keyword)
        ))),
        None => Ok(()),
    }
}

fn missing(flag: &str, variable: &str) -> UsageError {
    UsageError::new(format!("missing {flag}: give it, or set {variable}"))
}

/// Refuses a copy onto itself, and a comparison with itself, which proves nothing.
/// With `create`, the target only names a server.
pub(super) fn check_distinct(
    source: &ConnectSettings,
    target: &ConnectSettings,
    create: bool,
) -> Result<(), UsageError> {
    let same = source.endpoints() == target.endpoints() && source.database() == target.database();
    if same && !create {
        let database = source.describe();
        return Err(UsageError::new(format!("--source and --target are the same database: {database}")));
    }
    Ok(())
}
