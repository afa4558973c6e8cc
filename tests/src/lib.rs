//! The harness that dbhaul is tested with: real servers, the real binary, independent oracles.
//!
//! A [`Server`] is a throw-away PostgreSQL server of any supported major, in its newest minor or an older, started from a cached template
//! in well under a second and deleted on drop, also when the test is killed. A [`Moto`], a
//! [`Garage`] or an [`S3Directory`] is a real HTTP server that speaks S3. A [`Dbhaul`] is one run of the built binary.
//! A [`Proxy`] is a network that fails on command, a [`Pooler`] a PgBouncer before a server.
//! A [`Fixture`] is a database to move. None of these is a mock.
//!
//! The *oracles* judge without sharing a line with dbhaul: [`Server::pg_dump_schema`] and
//! [`Server::pg_dump_inserts_sorted`] ask the newest `pg_dump`, [`Server::sql_digest`] lets the server hash
//! every row of every table. A round trip holds when they agree on both sides.
//!
//! Servers log every statement, and a server that goes fails its test when dbhaul has sent one that names
//! something without its schema where the search path is not empty.
//!
//! Everything here panics when it cannot do its work: a server that is missing fails the test that needs
//! it, with the command that installs it. Nothing skips.
//!
//! ```no_run
//! use dbhaul_tests::{Dbhaul, Fixture, Server};
//!
//! let source = Server::start(16);
//! let target = Server::start(18);
//! Fixture::SampleShop { scale: 0.02 }.load(&source, "shop");
//! Fixture::SampleShop { scale: 0.02 }.prepare_target(&target);
//! target.create_db("shop");
//! Dbhaul::new(["migrate", "--source", &source.uri("shop"), "--target", &target.uri("shop")])
//!     .run()
//!     .assert_code(0);
//! assert_eq!(source.pg_dump_schema("shop"), target.pg_dump_schema("shop"));
//! assert_eq!(source.sql_digest("shop"), target.sql_digest("shop"));
//! ```

mod binary;
mod fixtures;
mod garage;
mod iam;
mod judge;
mod keeper;
mod listener;
mod log;
mod oracle;
mod overlay;
mod path;
mod places;
mod poll;
mod pooler;
mod ports;
mod proxy;
mod qualified;
mod s3;
mod server;
mod statements;
mod template;
mod tls;

pub use binary::{Dbhaul, Finished, Running, dbhaul_program};
pub use fixtures::{Fixture, others_data};
pub use garage::Garage;
pub use judge::Original;
pub use listener::Listener;
pub use places::{age_program, contender, python_program};
pub use poll::wait_until;
pub use pooler::{PoolMode, Pooler};
pub use proxy::{Cut, Proxy};
pub use qualified::assert_qualified;
pub use s3::{Moto, S3Directory, S3Endpoint};
pub use server::{EXTENDED, Encoding, MAJORS, OLD_MINORS, Server, ServerBuilder};
pub use statements::Statement;
pub use tls::{Authority, CertificateFiles, Validity};
