//! Where a command reads and writes: flags first, then the environment.

use std::cell::RefCell;

use dbhaul_pipeline::{ConnectSettings, StoreUrl, VerifySide};

use super::{Environment, UsageError, backup_ref};
use crate::secrets;

/// Variables of libpq that say which database is meant.
const LIBPQ_PLACES: [&str; 5] = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE"];

/// The places named on the command line, with the environment to fall back on.
pub(super) struct Places<'a> {
    environment: Environment<'a>,
    source: Option<String>,
    target: Option<String>,
    store: Option<String>,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(environment: Environment<'a>) -> Self {
        Places { environment, source: None, target: None, store: None, warnings: RefCell::default() }
    }

    pub(super) fn source(self, source: Option<String>) -> Self {
        Places { source, ..self }
    }

    pub(super) fn target(self, target: Option<String>) -> Self {
        Places { target, ..self }
    }

    pub(super) fn store(self, store: Option<String>) -> Self {
        Places { store, ..self }
    }

    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings.into_inner()
    }

    /// Refuses to let both databases be the one that libpq's environment names.
    pub(super) fn check_both_named(&self) -> Result<(), UsageError> {
        match (self.source_text(), self.target_text()) {
            (None, None) => Err(missing("--source and --target", "DBHAUL_SOURCE, DBHAUL_TARGET")),
            _ => Ok(()),
        }
    }

    pub(super) fn require_source(&self) -> Result<ConnectSettings, UsageError> {
        self.connection("--source", "DBHAUL_SOURCE", self.source.as_deref())
    }

    pub(super) fn require_target(&self) -> Result<ConnectSettings, UsageError> {
        self.connection("--target", "DBHAUL_TARGET", self.target.as_deref())
    }

    pub(super) fn optional_source(&self) -> Result<Option<ConnectSettings>, UsageError> {
        self.source_text().map(|_| self.require_source()).transpose()
    }

    /// The variable that says to another process where the source is; none if libpq's do.
    pub(super) fn source_variable(&self) -> Option<(&'static str, String)> {
        self.source_text().map(|source| ("DBHAUL_SOURCE", source))
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
    ) -> Result<(VerifySide, VerifySide), UsageError> {
        let backup_is_asked_for = self.store.is_some() || backup.is_some() || database.is_some();
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
        let backup =
            VerifySide::Backup { store: self.require_store()?, backup: backup_ref(backup)?, database };
        let prefers_source = self.source.is_some() || (self.target.is_none() && self.target_text().is_none());
        let live = match prefers_source {
            true if self.source_text().is_some() => self.require_source()?,
            _ => self.require_target()?,
        };
        Ok((backup, VerifySide::Live(live)))
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
        let text = typed.map(str::to_owned).or_else(|| self.variable(variable));
        if text.is_none() && !LIBPQ_PLACES.iter().any(|name| self.variable(name).is_some()) {
            return Err(missing(flag, variable));
        }
        let settings = ConnectSettings::resolve(text.as_deref(), self.environment).map_err(|error| {
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
