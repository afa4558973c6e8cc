//! The dbhaul command line.
fn main() {}
