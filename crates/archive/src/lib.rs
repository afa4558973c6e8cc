//! The format of a backup: packs, segment lists, manifest, table of contents, compression; no I/O.
