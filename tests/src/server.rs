//! Throw-away PostgreSQL servers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::keeper::Keeper;
use crate::ports::Port;
use crate::tls::CertificateFiles;
use crate::{log, overlay, places, template, wait_until};

/// The majors that dbhaul supports, and that the tests require to be installed.
pub const MAJORS: [u16; 7] = [13, 14, 15, 16, 17, 18, 19];

/// The majors of which an older minor is installed too: what a minor changes shows between the two.
pub const OLD_MINORS: [u16; 3] = [15, 17, 18];

/// The major that is installed with the extensions of `scripts/servers.pins` too.
pub const EXTENDED: u16 = 18;

/// Which installation of a major.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// The newest minor as it is.
    Newest,
    /// An older minor.
    OldMinor,
    /// The newest minor with extensions.
    Extensions,
}

/// Numbers the servers of this process, for their directories and their templates.
static SERVERS: AtomicUsize = AtomicUsize::new(0);

/// How many templates of one major there are, so that servers of one test differ in system identifier.
const TEMPLATES: usize = 3;

/// What every server is started with: it need not survive a power cut, only its own restarts.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = logical
max_wal_size = '4GB'
max_prepared_transactions = 20
max_connections = 100
shared_buffers = '128MB'
jit = off
logging_collector = off
log_statement = 'all'
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
timezone = 'UTC'
";

/// Linux takes no single argument over 128 KiB; longer SQL goes through a file.
const LONGEST_ARGUMENT_BYTES: usize = 100_000;

/// The encoding of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF8 with locale C.UTF-8, the default.
    Utf8,
    /// LATIN1 with locale C.
    Latin1,
    /// SQL_ASCII, that is no encoding at all, with locale C.
    SqlAscii,
}

impl Encoding {
    /// The server's name of this encoding.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF8",
            Self::Latin1 => "LATIN1",
            Self::SqlAscii => "SQL_ASCII",
        }
    }

    pub(crate) fn locale(self) -> &'static str {
        match self {
            Self::Utf8 => "C.UTF-8",
            Self::Latin1 | Self::SqlAscii => "C",
        }
    }
}

/// What a server is to be like, before it starts.
#[derive(Debug)]
pub struct ServerBuilder {
    major: u16,
    build: Build,
    settings: String,
    hba: Vec<String>,
    encoding: Encoding,
    tls: Option<CertificateFiles>,
    client_authority: Option<PathBuf>,
    extension_files: Vec<(String, String)>,
    environment: Vec<String>,
    is_standby: bool,
}

impl ServerBuilder {
    /// Takes an older minor of the major, one of [`OLD_MINORS`], instead of the newest.
    pub fn old_minor(mut self) -> Self {
        self.build = Build::OldMinor;
        self
    }

    /// Takes the installation with the extensions of `scripts/servers.pins`, which [`EXTENDED`] has.
    pub fn extensions(mut self) -> Self {
        self.build = Build::Extensions;
        self
    }

    fn installation(&self) -> PathBuf {
        places::server(self.major, self.build)
    }

    /// Adds a line `name = 'value'` to `postgresql.conf`.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        writeln!(self.settings, "{name} = '{}'", value.replace('\'', "''")).expect("strings take all");
        self
    }

    /// Sets a variable in the environment of the server.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Sets the encoding of the cluster.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Puts a line in `pg_hba.conf` before those that trust everyone.
    pub fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.to_owned());
        self
    }

    /// Adds a file to those that `CREATE EXTENSION` looks for, beside the server's own: a control file
    /// `name.control`, a script `name--version.sql`. The shared installation is not touched.
    pub fn extension_file(mut self, name: &str, text: &str) -> Self {
        self.extension_files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Asks TCP clients for a password by SCRAM. The superuser's is [`Server::PASSWORD`]; the tests' own
    /// clients use the Unix socket, which stays open.
    pub fn scram(self) -> Self {
        self.hba("host all all 127.0.0.1/32 scram-sha-256")
    }

    /// Offers TLS with this certificate.
    pub fn tls(mut self, certificate: &CertificateFiles) -> Self {
        self.tls = Some(certificate.clone());
        self
    }

    /// Sets `ssl_ca_file`, so that `clientcert=verify-full` can be asked for in [`Self::hba`].
    pub fn client_authority(mut self, certificate: &Path) -> Self {
        self.client_authority = Some(certificate.to_path_buf());
        self
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Panics
    /// With the end of the server's log when it does not come up.
    pub fn start(self) -> Server {
        let server = self.start_from(|builder, number| {
            template::data_dir(&builder.installation(), builder.encoding, number % TEMPLATES)
        });
        server.psql("postgres", &format!("ALTER ROLE postgres PASSWORD '{}'", Server::PASSWORD));
        server
    }

    /// Starts a server on a copy of a data directory.
    fn start_from(self, data: impl FnOnce(&Self, usize) -> PathBuf) -> Server {
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let dir = places::scratch().join(format!("{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        places::create_server_dir(&dir);
        let log = dir.join("server.log");
        let installed = self.installation();
        let installed = match self.extension_files.as_slice() {
            [] => installed,
            files => overlay::install(&installed, &dir.join("install"), files),
        };
        let mut command = vec!["env".to_owned()];
        command.extend(self.environment.iter().cloned());
        command.extend(places::server_command(&installed.join("bin/postgres")));
        command.extend(["-D".to_owned(), dir.join("data").display().to_string()]);
        // First of all, so that the directory goes even when the test is killed before the server starts.
        let mut keeper = Keeper::new(&dir, &log, "QUIT", &command);

        let port = Port::reserve();
        keeper.copy(&data(&self, number));
        self.configure(&dir, port.number);
        let mut server = Server { major: self.major, build: self.build, keeper, port, dir };
        server.launch();
        server
    }

    fn configure(&self, dir: &Path, port: u16) {
        let data = dir.join("data");
        if self.is_standby {
            let signal = data.join("standby.signal");
            std::fs::write(&signal, "").expect("the data directory is writable");
            places::give_to_server(&signal);
        }
        let mut settings = format!(
            "{SETTINGS}port = {port}\nunix_socket_directories = '{}'\nlog_line_prefix = '{}'\n",
            dir.display(),
            log::LINE_PREFIX
        );
        if let Some(files) = &self.tls {
            for (source, name) in [(&files.certificate, "server.crt"), (&files.key, "server.key")] {
                install_private(source, &data.join(name));
            }
            settings.push_str("ssl = on\n");
        }
        if let Some(authority) = &self.client_authority {
            install_private(authority, &data.join("root.crt"));
            settings.push_str("ssl_ca_file = 'root.crt'\n");
        }
        settings.push_str(&self.settings);
        append(&data.join("postgresql.conf"), &settings);
        let mut hba = self.hba.join("\n");
        hba.push_str("\nlocal all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 trust\n");
        std::fs::write(data.join("pg_hba.conf"), hba).expect("the data directory is writable");
    }
}

fn append(file: &Path, text: &str) {
    let old = std::fs::read_to_string(file).expect("initdb wrote it");
    std::fs::write(file, old + text).expect("the data directory is writable");
}

/// Copies a file that PostgreSQL wants to be its own and private.
fn install_private(source: &Path, target: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::copy(source, target).expect("the certificate exists");
    std::fs::set_permissions(target, std::fs::Permissions::from_mode(0o600)).expect("we own it");
    places::give_to_server(target);
}

/// A running PostgreSQL server, stopped and deleted when dropped, which fails the test if its log shows a
/// statement of dbhaul's that it should not have sent.
#[derive(Debug)]
pub struct Server {
    major: u16,
    build: Build,
    // Dropped before the port, so that the port is free again only once the server has gone.
    keeper: Keeper,
    port: Port,
    dir: PathBuf,
}

impl Server {
    /// The superuser's password, asked for only by servers built with [`ServerBuilder::scram`].
    pub const PASSWORD: &'static str = "opensesame";

    /// Starts a server of a major, in its newest minor, with the default settings.
    pub fn start(major: u16) -> Self {
        Self::builder(major).start()
    }

    /// Describes a server of a major, in its newest minor, before it starts.
    pub fn builder(major: u16) -> ServerBuilder {
        ServerBuilder {
            major,
            build: Build::Newest,
            settings: String::new(),
            hba: Vec::new(),
            encoding: Encoding::Utf8,
            tls: None,
            client_authority: None,
            extension_files: Vec::new(),
            environment: Vec::new(),
            is_standby: false,
        }
    }

    /// The major version.
    pub fn major(&self) -> u16 {
        self.major
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// The directory of the Unix socket.
    pub fn socket_dir(&self) -> &Path {
        &self.dir
    }

    /// The URI of a database as the superuser, over TCP, without password or TLS settings.
    pub fn uri(&self, db: &str) -> String {
        self.uri_as("postgres", db)
    }

    /// The URI of a database as `user`, which may hold `user:password`; both names percent-encoded by need.
    pub fn uri_as(&self, user: &str, db: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{}", self.port.number, percent_encode(db))
    }

    /// The URI of a database over the Unix socket.
    pub fn socket_uri(&self, db: &str) -> String {
        let dir = percent_encode(&self.dir.display().to_string());
        format!("postgres://postgres@/{}?host={dir}&port={}", percent_encode(db), self.port.number)
    }

    /// Everything the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read(self.dir.join("server.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Runs SQL in one database and returns its rows: columns joined by `|`, no header, no final newline.
    ///
    /// # Panics
    /// With the server's message when a statement fails.
    pub fn psql(&self, db: &str, sql: &str) -> String {
        self.try_psql(db, sql).unwrap_or_else(|error| panic!("{sql}\non server {}: {error}", self.major))
    }

    /// As [`Self::psql`], but returns what psql printed on standard error when a statement fails.
    pub fn try_psql(&self, db: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.client("psql");
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", db]);
        if sql.len() < LONGEST_ARGUMENT_BYTES {
            return output(psql.args(["-c", sql]));
        }
        let script = tempfile::NamedTempFile::new().expect("the temporary directory is writable");
        std::fs::write(script.path(), sql).expect("the temporary directory is writable");
        output(psql.arg("-f").arg(script.path()))
    }

    /// Runs a psql script in one database with psql variables; the first error ends it.
    pub fn psql_file(&self, db: &str, file: &Path, variables: &[(&str, &str)]) {
        let mut psql = self.client("psql");
        psql.args(["-Xqo", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", db, "-f"]).arg(file);
        for (name, value) in variables {
            psql.arg("-v").arg(format!("{name}={value}"));
        }
        output(&mut psql).unwrap_or_else(|error| panic!("{} on {}: {error}", file.display(), self.major));
    }

    /// Creates an empty database.
    pub fn create_db(&self, db: &str) {
        self.psql("postgres", &format!("CREATE DATABASE \"{}\"", db.replace('"', "\"\"")));
    }

    /// Drops a database, with the sessions connected to it.
    pub fn drop_db(&self, db: &str) {
        self.psql("postgres", &format!("DROP DATABASE \"{}\" WITH (FORCE)", db.replace('"', "\"\"")));
    }

    /// Terminates the sessions of a database whose last query is LIKE `pattern`; returns how many.
    pub fn terminate_backends(&self, db: &str, pattern: &str) -> u64 {
        let quote = |text: &str| text.replace('\'', "''");
        let sql = format!(
            "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = '{}' AND query LIKE '{}' AND pid <> pg_backend_pid() \
             AND backend_type = 'client backend' OFFSET 0) killed",
            quote(db),
            quote(pattern)
        );
        self.psql("postgres", &sql).parse().expect("count is a number")
    }

    /// Stops the server, cleanly and disconnecting everyone, and starts it on the same port and data.
    pub fn restart(&mut self) {
        self.keeper.stop("INT");
        self.launch();
    }

    /// Stops the server and leaves it down; the data stays.
    pub fn stop(&mut self) {
        self.keeper.stop("INT");
    }

    /// A hot standby of this server, which follows it over its socket; this server is restarted for it.
    pub fn standby(&mut self) -> Server {
        self.keeper.stop("INT");
        let follow = format!("host={} port={} user=postgres", self.dir.display(), self.port.number);
        let mut builder = Self::builder(self.major).config("primary_conninfo", &follow);
        builder.is_standby = true;
        builder.build = self.build;
        // Stopped, so that its data does not change while it is copied.
        let standby = builder.start_from(|_, _| self.dir.join("data"));
        self.launch();
        wait_until("the standby follows", || {
            (self.psql("postgres", "SELECT count(*) FROM pg_stat_replication") == "1").then_some(())
        });
        standby
    }

    /// Waits until a standby of this server has replayed what is committed here.
    pub fn wait_for(&self, standby: &Server) {
        let position = self.psql("postgres", "SELECT pg_current_wal_insert_lsn()");
        let reached = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
        wait_until("the standby has caught up", || (standby.psql("postgres", &reached) == "t").then_some(()));
    }

    /// Ends the server without a checkpoint, as a crash would, and starts it again.
    pub fn crash(&mut self) {
        self.keeper.stop("QUIT");
        self.launch();
    }

    /// Starts a stopped server.
    pub fn launch(&mut self) {
        let pid = self.keeper.start();
        let status = self.dir.join("data/postmaster.pid");
        wait_until("the server takes connections", || {
            // The eighth line of postmaster.pid is the state (src/include/utils/pidfile.h); the first, whose it is.
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            if lines.first() == Some(&pid.to_string().as_str()) && lines.get(7) == Some(&"ready") {
                return Some(());
            }
            assert!(is_running(pid), "server {} did not start:\n{}", self.major, self.log());
            None
        });
    }

    /// A client program of the newest PostgreSQL set up to reach this server over its socket.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(places::clients().join(program));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
            .env("PGHOST", &self.dir)
            .env("PGPORT", self.port.number.to_string())
            .env("PGUSER", "postgres")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // What clients are still saying is part of the log.
        self.keeper.stop("QUIT");
        let bytes = std::fs::read(self.dir.join("server.log")).expect("the server has logged");
        let count = log::judge(&String::from_utf8_lossy(&bytes))
            .unwrap_or_else(|problem| panic!("dbhaul has sent to server {}: {problem}", self.major));
        assert!(count > 0, "server {} does not log what is sent to it", self.major);
    }
}

/// Whether a process exists and has not become a zombie that its parent has yet to collect.
fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z')))
}

/// Runs a client: standard output without its last newline, or standard error.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } = command.output().expect("installed by install-test-servers");
    if !status.success() {
        return Err(String::from_utf8_lossy(&stderr).into_owned());
    }
    // Databases of other encodings yield other bytes; read as LATIN1 they stay distinct.
    let mut text = String::from_utf8(stdout)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect());
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("strings take all");
        }
    }
    encoded
}
