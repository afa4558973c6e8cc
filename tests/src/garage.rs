//! Garage, a production server that speaks S3: the long form of the tests builds it from source.

use std::path::PathBuf;
use std::process::Command;

use crate::keeper::Keeper;
use crate::ports::Port;
use crate::s3::S3Endpoint;
use crate::{places, wait_until};

/// Keys as Garage makes them.
const ACCESS_KEY: &str = "GK00112233445566778899aabb";
const SECRET_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A running server of one node, stopped when dropped. Its clock can be moved.
#[derive(Debug)]
pub struct Garage {
    endpoint: S3Endpoint,
    config: PathBuf,
    clock: PathBuf,
    _keeper: Keeper,
    _ports: [Port; 2],
}

impl Garage {
    /// Starts a server and waits until it serves.
    ///
    /// # Panics
    /// If it is not installed, or does not start.
    pub fn start() -> Self {
        let ports = [Port::reserve(), Port::reserve()];
        let [s3, rpc] = ports.each_ref().map(|port| port.number);
        let dir = places::scratch().join(format!("garage-{}-{s3}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("scratch is writable");
        let (config, clock) = (dir.join("garage.toml"), dir.join("clock"));
        let text = format!(
            "metadata_dir = {:?}\ndata_dir = {:?}\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
             rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = {:?}\n\
             [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{s3}\"\nroot_domain = \".s3.garage\"\n",
            dir.join("meta"),
            dir.join("data"),
            "42".repeat(32),
        );
        std::fs::write(&config, text).expect("scratch is writable");
        std::fs::write(&clock, "+0").expect("scratch is writable");
        let preload = places::garage("lib/libfaketimeMT.so.1");
        let command = [
            "env".to_owned(),
            format!("LD_PRELOAD={}", preload.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "DONT_FAKE_MONOTONIC=1".to_owned(),
            "NO_FAKE_STAT=1".to_owned(),
            places::garage("bin/garage").display().to_string(),
            "-c".to_owned(),
            config.display().to_string(),
            "server".to_owned(),
        ];
        let mut keeper = Keeper::new(&dir, &dir.join("garage.log"), "KILL", &command);
        keeper.start();
        let endpoint = S3Endpoint {
            url: format!("http://127.0.0.1:{s3}"),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            region: "garage".to_owned(),
        };
        let garage = Self { endpoint, config, clock, _keeper: keeper, _ports: ports };
        garage.become_ready();
        garage
    }

    fn become_ready(&self) {
        wait_until("garage answers", || {
            self.command(&["status"]).status().ok().filter(|ended| ended.success())
        });
        let node = self.ask(&["node", "id", "-q"]);
        let node = node.trim().split('@').next().unwrap_or_default().to_owned();
        self.ask(&["layout", "assign", "-z", "here", "-c", "10G", &node]);
        self.ask(&["layout", "apply", "--version", "1"]);
        wait_until("garage takes keys", || {
            let import = ["key", "import", "--yes", "-n", "tests", ACCESS_KEY, SECRET_KEY];
            self.command(&import).status().ok().filter(|ended| ended.success())
        });
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &S3Endpoint {
        &self.endpoint
    }

    /// Creates a bucket.
    pub fn create_bucket(&self, bucket: &str) {
        self.ask(&["bucket", "create", bucket]);
        self.ask(&["bucket", "allow", "--read", "--write", "--owner", bucket, "--key", ACCESS_KEY]);
    }

    /// From now on its clock is so many hours ahead.
    pub fn set_ahead(&self, hours: u32) {
        std::fs::write(&self.clock, format!("+{hours}h")).expect("scratch is writable");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(places::garage("bin/garage"));
        command.arg("-c").arg(&self.config).args(arguments);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(places::garage("bin/garage"));
        places::run(command.arg("-c").arg(&self.config).args(arguments))
    }
}
