//! Where bytes live: memory, a local directory or S3, behind one trait and one contract suite.
