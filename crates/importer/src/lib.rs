//! Parallel COPY importer: segments of rows become a database with its indexes and constraints.
