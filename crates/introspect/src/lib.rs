//! Reads a live server's system catalogs into the catalog model; one file per object kind.
