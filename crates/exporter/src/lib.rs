//! Streaming logical exporter: a database under one snapshot becomes segments of rows.
