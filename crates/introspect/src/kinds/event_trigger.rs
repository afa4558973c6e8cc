//! Reads event triggers.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, EventTrigger, EventTriggerState};
use serde::Deserialize;

use crate::Error;
use crate::header::Header;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    event: String,
    tags: Option<Vec<String>>,
    function: String,
    enabled: String,
}

const QUERY: &str = "
    SELECT e.oid::int8 AS oid, e.evtname AS name, pg_catalog.pg_get_userbyid(e.evtowner) AS owner,
           e.evtevent AS event, e.evttags AS tags, e.evtfoid::pg_catalog.regproc::text AS function,
           e.evtenabled::text AS enabled
    FROM pg_catalog.pg_event_trigger e";

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    for row in reader.query::<Row>("event triggers", QUERY).await? {
        let enabled = match row.enabled.as_str() {
            "O" => EventTriggerState::Origin,
            "R" => EventTriggerState::Replica,
            "A" => EventTriggerState::Always,
            "D" => EventTriggerState::Disabled,
            other => return Err(row.header.unexpected("whether it is enabled", other)),
        };
        let body = Body::from(EventTrigger {
            event: row.event,
            tags: row.tags.unwrap_or_default(),
            function: row.function,
            enabled,
        });
        reader.push(row.header.object("event triggers", Class::PG_EVENT_TRIGGER, body)?);
    }
    Ok(())
}
