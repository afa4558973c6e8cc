//! The whole of one database, read step by step.

use std::collections::BTreeSet;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Acl, Catalog, Database, Object};
use dbhaul_postgres::Session;

use crate::depends::{Dependencies, mark_members};
use crate::reader::Reader;
use crate::{Error, annotations, database, guard, kinds, privileges, sizes};

/// Reads everything the session's database is made of.
///
/// The session's search path must be empty, as a pinned session's is, so that
/// the server prints qualified names. Cancellation is the session's own.
pub async fn read_catalog(session: &Session) -> Result<Catalog, Error> {
    let mut reader = Reader::new(session, session.version());
    kinds::read_all(&mut reader).await?;
    let dependencies = Dependencies::read(&reader).await?;
    mark_members(reader.objects_mut(), &dependencies);
    let notes = annotations::read(&mut reader, &dependencies).await?;
    let database = database::read(&reader).await?;
    let catalog = Catalog {
        server_version: reader.version(),
        dependencies: dependencies.edges(),
        notes,
        initial_acls: privileges::read_initial(&reader, &dependencies).await?,
        system_privileges: privileges::read_system(&reader).await?,
        relation_sizes: sizes::read(&reader).await?,
        role_names: role_names(&database, reader.objects()),
        uncovered: guard::uncovered(&reader, &dependencies).await?,
        database,
        objects: reader.into_objects(),
    };
    Ok(catalog)
}

/// Every role that the catalog's statements name.
fn role_names(database: &Database, objects: &[Object]) -> Vec<String> {
    let mut names = BTreeSet::from([database.owner.clone()]);
    names.extend(database.settings.iter().filter_map(|(role, _)| role.clone()));
    database.acl.iter().for_each(|acl| add_grantees(acl, &mut names));
    for object in objects {
        names.extend(object.owner.clone());
        object.acl.iter().for_each(|acl| add_grantees(acl, &mut names));
        for column in object.body.column_annotations() {
            column.acl.iter().for_each(|acl| add_grantees(acl, &mut names));
        }
        match &object.body {
            Body::Policy(policy) => {
                names.extend(policy.roles.iter().filter(|role| *role != "public").cloned())
            }
            Body::DefaultAcl(default) => {
                names.insert(default.role.clone());
                add_grantees(&default.acl, &mut names);
            }
            Body::UserMapping(mapping) => names.extend(mapping.user.clone()),
            _ => {}
        }
    }
    names.into_iter().collect()
}

fn add_grantees(acl: &Acl, names: &mut BTreeSet<String>) {
    for item in acl {
        names.extend(item.grantee.clone());
        names.insert(item.grantor.clone());
    }
}
