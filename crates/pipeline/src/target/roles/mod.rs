//! Roles around a copy: which are wanted on the target, under which names, and creating them.
//!
//! Roles are shared by all databases of a server, so they are created before and
//! apart from everything else of a run, in one transaction of their own: either
//! all that could be created are there afterwards, or none. A run that is
//! started again finds them there.

mod create;
mod report;

use std::collections::BTreeSet;

use dbhaul_archive::Manifest;
use dbhaul_catalog::{Catalog, RoleLoss, RoleMapError, RoleScope, Roles};
use dbhaul_introspect::read_roles;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole};

pub use report::RoleReport;

use crate::source::LiveDatabase;
use crate::{Context, NamedReason, PipelineError, WriteOptions};
use dbhaul_repository::Repository;

/// What is to be done about roles before a target is written.
#[derive(Debug, Default)]
pub(crate) struct RoleWork {
    wanted: Option<Wanted>,
    losses: Vec<NamedReason>,
    notes: Vec<String>,
}

/// Roles that are wanted on the target, under the names they have there.
#[derive(Debug)]
struct Wanted {
    roles: Roles,
    /// Those that have another name on the source.
    renamed: BTreeSet<String>,
    /// Those that objects will be given to.
    owners: BTreeSet<String>,
    /// Whether passwords are to be carried.
    passwords: bool,
}

impl RoleWork {
    /// For a live source, whose catalog gets the names of the target.
    pub(crate) async fn of_live(
        source: &mut LiveDatabase,
        options: &WriteOptions,
        target: &ConnectSettings,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        if is_idle(options) {
            return Ok(RoleWork::default());
        }
        let passwords = options.roles.passwords && options.roles.scope != RoleScope::None;
        let roles = live_roles(source, passwords, context).await?;
        Self::new(&mut source.catalog, roles, options, target, context).await
    }

    /// For a backup, whose catalog gets the names of the target.
    pub(crate) async fn of_backup(
        repository: &Repository,
        manifest: &Manifest,
        catalog: &mut Catalog,
        options: &WriteOptions,
        target: &ConnectSettings,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        if is_idle(options) {
            return Ok(RoleWork::default());
        }
        let recorded = recorded_roles(repository, manifest).await?;
        let scope = recorded.as_ref().map_or(RoleScope::None, |roles| roles.scope);
        let problem = match (options.roles.scope, scope) {
            (RoleScope::Used | RoleScope::All, RoleScope::None) => "the backup holds no roles",
            (RoleScope::All, RoleScope::Used) => "the backup holds only the roles that its database uses",
            _ => "",
        };
        if !problem.is_empty() {
            return Err(PipelineError::Request {
                problem: problem.to_owned(),
                help: "ask for less with --roles, or make a backup with more: `dbhaul dump --roles all`"
                    .to_owned(),
            });
        }
        let none = Roles {
            server_version: manifest.source.server_version_num,
            scope: RoleScope::None,
            roles: Vec::new(),
            memberships: Vec::new(),
        };
        Self::new(catalog, recorded.unwrap_or(none), options, target, context).await
    }

    async fn new(
        catalog: &mut Catalog,
        source: Roles,
        options: &WriteOptions,
        target: &ConnectSettings,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        let map = &options.role_map;
        refuse(map.unknown_sources(&known(&source, catalog)))?;
        let (user, mut names) = ask_target(target, context).await?;
        let wanted = match options.roles.scope {
            RoleScope::None => None,
            RoleScope::Used => Some(source.used_by(catalog)),
            RoleScope::All => Some(source),
        };
        let passwords = options.roles.passwords;
        let wanted = wanted.map(|roles| if passwords { roles } else { roles.without_passwords() });
        let mut losses = map.apply(catalog, Some(&user));
        let wanted = wanted.map(|roles| {
            let (roles, renamed, lost) = map.apply_to_roles(roles);
            losses.extend(lost);
            let creatable = roles.roles.iter().filter(|role| !role.is_bootstrap);
            names.extend(creatable.map(|role| role.name.clone()));
            Wanted { roles, renamed, owners: owners(catalog, options), passwords }
        });
        refuse(map.unknown_targets(&names))?;
        let notes = map.dropped().map(|role| {
            let role = dbhaul_catalog::quote_identifier(role);
            format!("role {role} and what it was granted are dropped, as the role map says")
        });
        Ok(RoleWork { wanted, notes: notes.collect(), losses: losses.into_iter().map(named).collect() })
    }

    /// What [`create`](Self::create) would do, tried on the target in a transaction
    /// that is rolled back; `None` where nothing is asked for.
    pub(crate) async fn predict(
        &self,
        target: &ConnectSettings,
        context: &Context,
    ) -> Result<Option<RoleReport>, PipelineError> {
        self.run(target, true, context).await
    }

    /// Creates the roles that the target lacks; `None` where nothing is asked for.
    /// What is refused is in the report.
    ///
    /// # Errors
    /// If the target cannot be asked, or went away: then no role was created.
    pub(crate) async fn create(
        &self,
        target: &ConnectSettings,
        context: &Context,
    ) -> Result<Option<RoleReport>, PipelineError> {
        self.run(target, false, context).await
    }

    /// Whether roles are to be created.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.wanted.is_some()
    }

    async fn run(
        &self,
        target: &ConnectSettings,
        is_trial: bool,
        context: &Context,
    ) -> Result<Option<RoleReport>, PipelineError> {
        let mut report = RoleReport { notes: self.notes.clone(), ..RoleReport::default() };
        report.skipped.extend(self.losses.iter().cloned());
        if let Some(wanted) = &self.wanted {
            let session = connect(target, context).await?;
            create::create_roles(&session, wanted, is_trial, &mut report).await?;
            session.close().await.map_err(|source| asking(target, source))?;
        }
        let is_empty = self.wanted.is_none() && report.notes.is_empty() && report.skipped.is_empty();
        Ok((!is_empty).then_some(report))
    }
}

/// Nothing is asked for.
fn is_idle(options: &WriteOptions) -> bool {
    options.roles.scope == RoleScope::None && options.role_map.is_empty()
}

/// The roles of a live database's server, as of its snapshot.
pub(crate) async fn live_roles(
    source: &LiveDatabase,
    passwords: bool,
    context: &Context,
) -> Result<Roles, PipelineError> {
    let reading = |error| PipelineError::server("cannot read the roles of the source", error);
    let session = Session::connect(&source.settings, SessionRole::Reader, &context.cancel).await;
    let session = session.map_err(reading)?;
    source.holder.import_into(&session).await.map_err(reading)?;
    let roles = read_roles(&session, passwords).await;
    let roles = roles.map_err(|error| introspect(&source.settings, error))?;
    session.close().await.map_err(reading)?;
    Ok(roles)
}

/// The roles that a backup holds.
pub(crate) async fn recorded_roles(
    repository: &Repository,
    manifest: &Manifest,
) -> Result<Option<Roles>, PipelineError> {
    match &manifest.roles {
        Some(document) => Ok(repository.document("roles", document).await.map(Some)?),
        None => Ok(None),
    }
}

/// Names that a role map may begin with.
pub(crate) fn known(roles: &Roles, catalog: &Catalog) -> BTreeSet<String> {
    let names = roles.roles.iter().map(|role| role.name.clone());
    names.chain(catalog.role_names.iter().cloned()).collect()
}

/// Turns lines of a role map that name nobody into an error.
pub(crate) fn refuse(lines: Vec<RoleMapError>) -> Result<(), PipelineError> {
    if lines.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    Err(PipelineError::Request {
        problem: format!("the role map cannot be used: {}", lines.join("; ")),
        help: "correct these lines of --role-map: the left side must be a role of the source, and the right side one \
               that the target has, or that the source has under that name and --roles used creates".to_owned(),
    })
}

/// Who will write the target, and the roles it has; a map may lead to predefined ones too.
async fn ask_target(
    target: &ConnectSettings,
    context: &Context,
) -> Result<(String, BTreeSet<String>), PipelineError> {
    let session = connect(target, context).await?;
    let roles = read_roles(&session, false).await.map_err(|error| introspect(target, error))?;
    let predefined = session.query_strings(PREDEFINED_SQL).await.map_err(|source| asking(target, source))?;
    let user = session.user().to_owned();
    session.close().await.map_err(|source| asking(target, source))?;
    let own = roles.roles.into_iter().map(|role| role.name);
    Ok((user, own.chain(predefined).collect()))
}

const PREDEFINED_SQL: &str = "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname ~ '^pg_'";

/// Roles that objects of a catalog are given to.
fn owners(catalog: &Catalog, options: &WriteOptions) -> BTreeSet<String> {
    if !options.set_owners {
        return BTreeSet::new();
    }
    let owners = catalog.objects.iter().filter(|object| object.extension.is_none());
    let owners = owners.filter_map(|object| object.owner.as_ref().map(String::from));
    owners.chain(options.create.then(|| catalog.database.owner.clone())).collect()
}

async fn connect(target: &ConnectSettings, context: &Context) -> Result<Session, PipelineError> {
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await;
    session.map_err(|source| PipelineError::server("cannot connect to the target", source))
}

fn asking(target: &ConnectSettings, source: dbhaul_postgres::Error) -> PipelineError {
    PipelineError::server(format!("cannot create roles on {}", target.describe()), source)
}

fn introspect(server: &ConnectSettings, source: dbhaul_introspect::Error) -> PipelineError {
    PipelineError::Introspect { server: server.describe(), source }
}

fn named(loss: RoleLoss) -> NamedReason {
    NamedReason { object: loss.object, reason: loss.reason }
}
