//! A connection pooler before a server.

use std::net::{Ipv4Addr, TcpStream};

use crate::keeper::Keeper;
use crate::ports::Port;
use crate::{Server, places, wait_until};

/// For how long a client keeps the server process that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// As long as it is connected.
    Session,
    /// Until its transaction ends.
    Transaction,
    /// Until its statement ends.
    Statement,
}

impl PoolMode {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Statement => "statement",
        }
    }
}

/// A PgBouncer on a port of its own before a server, set up as Debian has it but for places and users;
/// stopped and deleted when dropped.
#[derive(Debug)]
pub struct Pooler {
    // Dropped before the port, so that the port is free again only once the pooler has gone.
    _keeper: Keeper,
    port: Port,
}

impl Pooler {
    /// Starts a pooler before a server. All databases are served in `mode`, but those of `others` in theirs.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn before(server: &Server, mode: PoolMode, others: &[(&str, PoolMode)]) -> Self {
        let port = Port::reserve();
        let dir = places::scratch().join(format!("{}-pooler-{}", std::process::id(), port.number));
        let _ = std::fs::remove_dir_all(&dir);
        places::create_server_dir(&dir);
        let (log, config) = (dir.join("pooler.log"), dir.join("pgbouncer.ini"));
        let place = format!("host=127.0.0.1 port={} user=postgres", server.port());
        let mut text = String::from("[databases]\n");
        for (db, mode) in others {
            text.push_str(&format!("{db} = {place} pool_mode={}\n", mode.name()));
        }
        text.push_str(&format!(
            "* = {place}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {}\nmax_client_conn = 100\n",
            port.number,
            mode.name()
        ));
        std::fs::write(&config, text).expect("the directory is writable");
        places::give_to_server(&config);
        let mut command = places::server_command(&places::pooler());
        command.push(config.display().to_string());
        let mut keeper = Keeper::new(&dir, &log, "TERM", &command);
        keeper.start();
        wait_until("the pooler takes connections", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port.number)).ok()
        });
        Self { _keeper: keeper, port }
    }

    /// The URI of a database behind it; everybody is the superuser there.
    pub fn uri(&self, db: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{db}", self.port.number)
    }
}
