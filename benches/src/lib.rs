//! Micro-benchmarks and the end-to-end comparison with peers.
