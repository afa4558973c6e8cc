//! Counts, digests, drill-down, schema comparison and the report of a verification.
