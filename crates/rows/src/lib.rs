//! COPY text rows: framing, escaping, digests and content-defined cuts; no I/O.
