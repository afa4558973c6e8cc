//! Creating the roles that a server lacks, in one transaction.

use std::collections::BTreeSet;

use dbhaul_catalog::{Password, Role, RolePlan, Roles, quote_identifier, without_values};
use dbhaul_introspect::read_roles;
use dbhaul_postgres::{Error, Session};

use super::{Wanted, named};
use crate::target::roles::RoleReport;
use crate::{NamedReason, PipelineError};

/// Attempts where other runs create the same roles at the same time.
const ATTEMPTS: u32 = 5;

/// SQLSTATEs of a role that another transaction has just created, or of waiting
/// for each other: the plan is to be made anew.
const CONFLICTS: [&str; 4] = ["42710", "23505", "40P01", "40001"];

/// Creates what is wanted and absent, and reports. A trial is rolled back, and
/// passwords are not sent in one.
pub(super) async fn create_roles(
    session: &Session,
    wanted: &Wanted,
    is_trial: bool,
    report: &mut RoleReport,
) -> Result<(), PipelineError> {
    let failed = |source| {
        PipelineError::server(
            format!("cannot create roles on {}; none was created", session.server()),
            source,
        )
    };
    let before = report.clone();
    let mut attempt = 1;
    loop {
        session.begin().await.map_err(failed)?;
        let there = read_roles(session, wanted.passwords)
            .await
            .map_err(|source| PipelineError::Introspect { server: session.server().to_owned(), source })?;
        let plan = RolePlan::new(&wanted.roles, &there, &wanted.renamed);
        *report = before.clone();
        let mut creation = Creation { session, wanted, there: &there, plan: &plan, is_trial, report };
        // Nothing can be tried on a standby; what is planned is told all the same.
        if is_trial && session.is_in_recovery() {
            creation.report.created.extend(plan.create.iter().map(|role| role.name.clone()));
            return session.rollback().await.map_err(failed);
        }
        let result = creation.run().await;
        match result {
            Ok(()) if is_trial => return session.rollback().await.map_err(failed),
            Ok(()) => return session.commit().await.map_err(failed),
            Err(error) if is_conflict(&error) && attempt < ATTEMPTS => {
                session.rollback().await.map_err(failed)?;
                attempt += 1;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

fn is_conflict(error: &Error) -> bool {
    error.sqlstate().is_some_and(|state| CONFLICTS.contains(&state))
}

/// A plan at work, inside a transaction.
struct Creation<'a> {
    session: &'a Session,
    wanted: &'a Wanted,
    there: &'a Roles,
    plan: &'a RolePlan,
    is_trial: bool,
    report: &'a mut RoleReport,
}

impl Creation<'_> {
    async fn run(&mut self) -> Result<(), Error> {
        self.report.existing.clone_from(&self.plan.existing);
        self.report.skipped.extend(self.plan.losses.iter().cloned().map(named));
        if self.plan.is_empty() {
            return Ok(());
        }
        // The import that follows relies on them.
        self.session.batch("SET LOCAL synchronous_commit TO on").await?;
        for role in &self.plan.create {
            self.create(role).await?;
        }
        let created: BTreeSet<String> = self.report.created.iter().cloned().collect();
        for role in self.plan.create.iter().filter(|role| created.contains(&role.name)) {
            for statement in role.statements().settings {
                self.try_or_skip(&role.name, &statement).await?;
            }
        }
        self.grant(&created).await?;
        self.join_owners(&created).await
    }

    /// Creates one role, as much of it as is allowed.
    async fn create(&mut self, role: &Role) -> Result<(), Error> {
        let statements = role.statements();
        if let Some(refusal) = self.attempt(&statements.create).await? {
            let plain = &statements.create_plain;
            let is_plain = *plain == statements.create;
            if is_plain || self.attempt(plain).await?.is_some() {
                self.skip(&role.name, format!("not created: {refusal}"));
                return Ok(());
            }
            for (word, statement) in &statements.privileged {
                if let Some(refusal) = self.attempt(statement).await? {
                    self.skip(&role.name, format!("created without {word}: {refusal}"));
                }
            }
        }
        self.report.created.push(role.name.clone());
        self.set_password(role).await?;
        for statement in &statements.annotations {
            self.try_or_skip(&role.name, statement).await?;
        }
        Ok(())
    }

    async fn set_password(&mut self, role: &Role) -> Result<(), Error> {
        match role.statements().password {
            Some(_) if self.is_trial => {}
            Some(statement) => {
                if let Some(refusal) = self.attempt(statement.reveal()).await? {
                    self.report.passwords_to_set.push(role.name.clone());
                    self.skip(&role.name, format!("its password was not set: {refusal}"));
                }
            }
            None if role.login && role.password == Password::Unknown => {
                self.report.passwords_to_set.push(role.name.clone());
                if self.wanted.passwords {
                    let reason = "its password must be set: its hash could not be read, was not recorded in \
                                  the backup, or is worth nothing under another name";
                    self.skip(&role.name, reason.to_owned());
                }
            }
            None => {}
        }
        Ok(())
    }

    async fn grant(&mut self, created: &BTreeSet<String>) -> Result<(), Error> {
        let planned: BTreeSet<&str> = self.plan.create.iter().map(|role| role.name.as_str()).collect();
        let is_refused = |name: &str| planned.contains(name) && !created.contains(name);
        for grant in &self.plan.grants {
            let object = format!("MEMBERSHIP of {} in {}", grant.member, grant.role);
            if is_refused(&grant.role) || is_refused(&grant.member) {
                self.lose(object, "one of the two roles could not be created".to_owned());
                continue;
            }
            let statement = self.plan.grant_statement(grant);
            let granted_by = statement.granted_by.as_deref().unwrap_or_default();
            if let Some(refusal) = self.attempt(&format!("{}{granted_by}", statement.sql)).await? {
                let reason = if !granted_by.is_empty() && self.attempt(&statement.sql).await?.is_none() {
                    format!("granted in the name of {}, not{granted_by}: {refusal}", self.session.user())
                } else {
                    format!("not granted: {refusal}")
                };
                self.lose(object, reason);
            } else if !statement.losses.is_empty() {
                let losses = statement.losses.join(", ");
                let version = self.session.version();
                self.lose(
                    object,
                    format!("granted without {losses}, which PostgreSQL {version} does not know"),
                );
            }
        }
        Ok(())
    }

    /// Lets an importing role that is no superuser become the roles it has created
    /// and will give objects to. It may take this membership itself, so this
    /// gives it no more than it has.
    async fn join_owners(&mut self, created: &BTreeSet<String>) -> Result<(), Error> {
        let me = self.session.user().to_owned();
        if self.there.role(&me).is_none_or(|role| role.superuser) {
            return Ok(());
        }
        let options = if self.session.version().major() >= 16 { " WITH INHERIT TRUE, SET TRUE" } else { "" };
        let mut joined = Vec::new();
        for role in created.intersection(&self.wanted.owners) {
            let sql = format!("GRANT {} TO {}{options}", quote_identifier(role), quote_identifier(&me));
            // Where it is refused, the import names every object that keeps another owner.
            if self.attempt(&sql).await?.is_none() {
                joined.push(quote_identifier(role));
            }
        }
        if !joined.is_empty() {
            self.report.notes.push(format!(
                "{} becomes a member of {} to give objects to them; revoke the membership afterwards if you do not want \
                 to keep it",
                quote_identifier(&me),
                joined.join(", ")
            ));
        }
        Ok(())
    }

    async fn try_or_skip(&mut self, role: &str, statement: &str) -> Result<(), Error> {
        if let Some(refusal) = self.attempt(statement).await? {
            self.skip(role, format!("{}: {refusal}", without_values(statement)));
        }
        Ok(())
    }

    /// Runs a statement behind a savepoint; returns why it was refused, if it was.
    async fn attempt(&self, sql: &str) -> Result<Option<String>, Error> {
        self.session.batch("SAVEPOINT dbhaul_role").await?;
        match self.session.execute(sql).await {
            Ok(_) => {
                self.session.batch("RELEASE SAVEPOINT dbhaul_role").await?;
                Ok(None)
            }
            Err(Error::Server(refusal)) => {
                let error = Error::Server(refusal.clone());
                if error.is_transient() || is_conflict(&error) {
                    return Err(error);
                }
                self.session.batch("ROLLBACK TO SAVEPOINT dbhaul_role").await?;
                Ok(Some(format!("{} (SQLSTATE {})", refusal.message, refusal.sqlstate)))
            }
            Err(error) => Err(error),
        }
    }

    fn skip(&mut self, role: &str, reason: String) {
        self.lose(format!("ROLE {role}"), reason);
    }

    fn lose(&mut self, object: String, reason: String) {
        self.report.skipped.push(NamedReason { object, reason });
    }
}
