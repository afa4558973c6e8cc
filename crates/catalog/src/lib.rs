//! What a PostgreSQL database is made of: objects, dependency order, DDL, comparison of two; no I/O.
