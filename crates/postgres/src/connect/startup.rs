//! Settings that go with the startup packet, before the server runs anything of ours.
//!
//! The defaults of a database or a role may end a session before it has pinned its settings: a
//! `statement_timeout` or `idle_session_timeout` of 1 ms needs no more than a network in between. What
//! comes with the startup packet goes before these defaults. But poolers refuse what they do not know there,
//! and so do servers with names of later versions. So nothing is sent until a session was ended so, and then
//! only what the server must know, since it has done it.

use crate::error::Error;

/// Sent when any limit has ended a session: every supported version knows them.
const KNOWN_TO_ALL: [&str; 3] = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];

/// Names of later versions, each with the SQLSTATE of a session that it has ended.
const KNOWN_TO_SOME: [(&str, &str); 2] =
    [("57P05", "idle_session_timeout"), ("25P04", "transaction_timeout")];

/// SQLSTATEs of what the settings known to all do: a statement cancelled, a lock not waited for, a
/// transaction that idled too long.
const ENDED_BY_ALL: [&str; 3] = ["57014", "55P03", "25P03"];

/// The limits to be lifted with the startup packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Startup {
    lifted: Vec<&'static str>,
}

impl Startup {
    /// What to try after a session was ended so; nothing if that was not by a limit that this one has left.
    pub(crate) fn after(&self, error: &Error) -> Option<Startup> {
        let state = error.sqlstate()?;
        let of_some = KNOWN_TO_SOME.iter().find(|(ended, _)| *ended == state).map(|(_, name)| *name);
        if of_some.is_none() && !ENDED_BY_ALL.contains(&state) {
            return None;
        }
        let mut lifted = self.lifted.clone();
        for name in KNOWN_TO_ALL.into_iter().chain(of_some) {
            if !lifted.contains(&name) {
                lifted.push(name);
            }
        }
        (lifted != self.lifted).then_some(Startup { lifted })
    }

    /// The `options` of the startup packet: those that were asked for, and ours behind them, which win.
    pub(super) fn options(&self, asked: Option<&str>) -> Option<String> {
        let ours = self.lifted.iter().map(|name| format!("-c {name}=0"));
        let all: Vec<String> = asked.map(str::to_owned).into_iter().chain(ours).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::Startup;
    use crate::error::Error;
    use crate::server_error::ServerError;

    fn ended(state: &str) -> Error {
        let error = ServerError { sqlstate: state.to_owned(), ..ServerError::default() };
        Error::lost("server", "ended".to_owned(), Some(error))
    }

    #[test]
    fn what_ended_a_session_is_lifted_once() {
        let none = Startup::default();
        assert_eq!(none.options(None), None);
        assert_eq!(none.options(Some("-c a=b")).as_deref(), Some("-c a=b"));
        assert_eq!(none.after(&ended("42501")), None);
        let all = none.after(&ended("57014")).unwrap();
        let known = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0";
        assert_eq!(all.options(None).as_deref(), Some(known));
        assert_eq!(all.after(&ended("57014")), None);
        let more = all.after(&ended("25P04")).unwrap().after(&ended("57P05")).unwrap();
        let options = format!("-c x=1 {known} -c transaction_timeout=0 -c idle_session_timeout=0");
        assert_eq!(more.options(Some("-c x=1")), Some(options));
    }
}
