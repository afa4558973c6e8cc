//! Harness of real servers, round trips, command-line, damage and crash tests.
