//! TCP ports that no other test of this machine uses, also across processes.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

use crate::places;

/// Below the range from which the kernel takes the ports of outgoing connections.
const FIRST: u16 = 21_000;
const COUNT: u16 = 8_000;

/// A port reserved for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    /// The lock on this file is the reservation; the kernel releases it when the process dies.
    _lock: File,
}

impl Port {
    /// Reserves a port that is free on 127.0.0.1.
    pub(crate) fn reserve() -> Self {
        let dir = places::scratch().join("ports");
        std::fs::create_dir_all(&dir).expect("scratch is writable");
        let start = (std::process::id().wrapping_mul(37) % u32::from(COUNT)) as u16;
        (0..COUNT)
            .map(|step| FIRST + (start + step) % COUNT)
            .find_map(|number| {
                let lock = File::create(dir.join(number.to_string())).ok()?;
                lock.try_lock().ok()?;
                TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
                Some(Self { number, _lock: lock })
            })
            .expect("one of thousands of ports is free")
    }
}
