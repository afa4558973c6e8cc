//! The one crate that speaks to a PostgreSQL server: settings, TLS, pinned sessions, snapshots, COPY, cancel, SQLSTATE, probes.
