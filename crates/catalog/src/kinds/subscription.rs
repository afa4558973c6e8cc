//! A subscription.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, Secret, quote_identifier, quote_literal};

/// A subscription, as a definition: it is made without connecting and disabled,
/// as by `pg_dump`, so that a copy of a database does not take changes meant
/// for the original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The definition; `None` where the role that read the catalog may not see
    /// it, which is a superuser's privilege. Such a subscription cannot be
    /// made and must be reported.
    pub definition: Option<SubscriptionDefinition>,
}

/// What a subscription does. Options that a version does not have are at the
/// value that means the same there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionDefinition {
    /// The connection string; may hold a password. Empty with a [server](Self::server).
    pub connection: Secret,
    /// The foreign server that the connection is made to instead (19 and later).
    #[serde(default)]
    pub server: Option<String>,
    /// The publications, unquoted.
    pub publications: Vec<String>,
    /// The replication slot; `None` for `NONE`.
    pub slot_name: Option<String>,
    /// `binary` (14 and later).
    pub binary: bool,
    /// `streaming` (14 and later): `off`, `on` or, from 16, `parallel`.
    pub streaming: String,
    /// `two_phase` (15 and later).
    pub two_phase: bool,
    /// `disable_on_error` (15 and later).
    pub disable_on_error: bool,
    /// `password_required` (16 and later).
    pub password_required: bool,
    /// `run_as_owner` (16 and later).
    pub run_as_owner: bool,
    /// `failover` (17 and later).
    pub failover: bool,
    /// `synchronous_commit`.
    pub synchronous_commit: String,
    /// `origin` (16 and later): `any` or `none`.
    pub origin: String,
    /// `retain_dead_tuples` (19 and later).
    #[serde(default)]
    pub retain_dead_tuples: bool,
    /// `max_retention_duration` in milliseconds (19 and later); 0 is for ever.
    #[serde(default)]
    pub max_retention_ms: i32,
    /// `wal_receiver_timeout` (19 and later); `None` where it is the server's.
    #[serde(default)]
    pub wal_receiver_timeout: Option<String>,
}

impl SubscriptionDefinition {
    fn create(&self, name: &str, target: &Target) -> String {
        let publications: Vec<String> = self.publications.iter().map(|name| quote_identifier(name)).collect();
        let slot = self.slot_name.as_deref().map_or("NONE".to_owned(), quote_literal);
        let mut options = vec!["connect = false".to_owned(), format!("slot_name = {slot}")];
        let major = target.version.major();
        let timeout = self.wal_receiver_timeout.as_ref();
        let publisher = match &self.server {
            Some(server) => format!("SERVER {}", quote_identifier(server)),
            None => format!("CONNECTION {}", quote_literal(self.connection.reveal())),
        };
        for (since, text) in [
            (14, self.binary.then(|| "binary = true".to_owned())),
            (14, Some(format!("streaming = {}", self.streaming))),
            (15, self.two_phase.then(|| "two_phase = on".to_owned())),
            (15, self.disable_on_error.then(|| "disable_on_error = true".to_owned())),
            (16, (!self.password_required).then(|| "password_required = false".to_owned())),
            (16, self.run_as_owner.then(|| "run_as_owner = true".to_owned())),
            (17, self.failover.then(|| "failover = true".to_owned())),
            (13, self.synchronous_commit()),
            (16, (self.origin != "any").then(|| format!("origin = {}", self.origin))),
            (19, self.retain_dead_tuples.then(|| "retain_dead_tuples = true".to_owned())),
            (19, (self.max_retention_ms != 0).then(|| format!("max_retention_duration = {}", self.max_retention_ms))),
            (19, timeout.map(|timeout| format!("wal_receiver_timeout = {}", quote_literal(timeout)))),
        ] {
            options.extend(text.filter(|_| major >= since));
        }
        format!(
            "CREATE SUBSCRIPTION {name} {publisher} PUBLICATION {} WITH ({})",
            publications.join(", "),
            options.join(", ")
        )
    }

    fn synchronous_commit(&self) -> Option<String> {
        let value = quote_identifier(&self.synchronous_commit);
        (self.synchronous_commit != "off").then(|| format!("synchronous_commit = {value}"))
    }
}

impl Render for Subscription {
    fn render(&self, object: &Object, target: &Target) -> Vec<Draft> {
        let Some(definition) = &self.definition else { return Vec::new() };
        let name = object.sql_name();
        let create = definition.create(&name, target);
        vec![Draft::owned(Section::PostData, EntryKind::Subscription, &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::{Subscription, SubscriptionDefinition};
    use crate::render::Target;
    use crate::{Secret, ServerVersion};
    use crate::kinds::{Body, sample};

    #[track_caller]
    fn check(definition: Option<SubscriptionDefinition>, expected: &str) {
        sample::check(false, Body::from(Subscription { definition }), expected);
    }

    #[test]
    fn subscriptions() {
        let plain = SubscriptionDefinition {
            connection: Secret::new("dbname=x"),
            server: None,
            publications: vec!["p".to_owned()],
            slot_name: None,
            binary: false,
            streaming: "off".to_owned(),
            two_phase: false,
            disable_on_error: false,
            password_required: true,
            run_as_owner: false,
            failover: false,
            synchronous_commit: "off".to_owned(),
            origin: "any".to_owned(),
            retain_dead_tuples: false,
            max_retention_ms: 0,
            wal_receiver_timeout: None,
        };
        let full = SubscriptionDefinition {
            publications: vec!["p".to_owned(), "Q".to_owned()],
            slot_name: Some("slot".to_owned()),
            binary: true,
            streaming: "parallel".to_owned(),
            two_phase: true,
            disable_on_error: true,
            password_required: false,
            run_as_owner: true,
            failover: true,
            synchronous_commit: "remote_apply".to_owned(),
            origin: "none".to_owned(),
            ..plain.clone()
        };
        let by_server = SubscriptionDefinition {
            connection: Secret::new(""),
            server: Some("Far".to_owned()),
            retain_dead_tuples: true,
            max_retention_ms: 90_000,
            wal_receiver_timeout: Some("1min".to_owned()),
            ..plain.clone()
        };
        check(None, "");
        check(
            Some(plain),
            "CREATE SUBSCRIPTION n CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE, \
             streaming = off);\n",
        );
        check(
            Some(full),
            "CREATE SUBSCRIPTION n CONNECTION 'dbname=x' PUBLICATION p, \"Q\" WITH (connect = false, \
             slot_name = 'slot', binary = true, streaming = parallel, two_phase = on, disable_on_error = true, \
             password_required = false, run_as_owner = true, failover = true, synchronous_commit = remote_apply, \
             origin = none);\n",
        );
        let target = Target { version: ServerVersion::of_major(19) };
        assert_eq!(
            by_server.create("n", &target),
            "CREATE SUBSCRIPTION n SERVER \"Far\" PUBLICATION p WITH (connect = false, slot_name = NONE, \
             streaming = off, retain_dead_tuples = true, max_retention_duration = 90000, \
             wal_receiver_timeout = '1min')"
        );
    }
}
