//! Large objects: pieces of them go into a temporary table and from there into the objects, set-wise.

/// Holds the pieces of one segment until the transaction ends.
pub(crate) const CREATE_PAGES_SQL: &str = "CREATE TEMPORARY TABLE dbhaul_pages \
     (loid pg_catalog.oid NOT NULL, pageno pg_catalog.int4 NOT NULL, data pg_catalog.bytea NOT NULL) ON COMMIT DROP";

/// Writes every piece to its object. `pageno` is the page at which the piece starts, in pages of 2048 bytes
/// (`LOBLKSIZE` in PostgreSQL's storage/large_object.h); a piece may be longer than a page. The objects
/// themselves are created with pre-data.
pub(crate) const PUT_PAGES_SQL: &str = "SELECT pg_catalog.count(pg_catalog.lo_put(p.loid, \
     p.pageno::pg_catalog.int8 OPERATOR(pg_catalog.*) 2048, p.data)) \
     FROM (SELECT loid, pageno, data FROM pg_temp.dbhaul_pages ORDER BY loid, pageno) AS p";

/// What the COPY of the pieces goes into.
pub(crate) const PAGES: &str = "pg_temp.dbhaul_pages (loid, pageno, data)";
