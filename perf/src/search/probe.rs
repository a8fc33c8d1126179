//! What the machine and the target say while a load is carried.

use crate::procfs;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the target's web page may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most that it may answer.
const LONGEST: u64 = 4 << 20;

/// CPU time, memory and the kernel's drops at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at: Instant,
    server_cpu_ns: Option<u64>,
    own_cpu_ns: u64,
    drops: u64,
    /// Resident memory of the target.
    pub(super) memory_bytes: Option<u64>,
}

/// What happened between two samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Between {
    pub(super) server_cpu: Option<f64>,
    pub(super) own_cpu: f64,
    pub(super) drops: u64,
}

/// Datagrams that the kernel dropped because a receive buffer was full, in this network namespace.
fn receive_drops() -> u64 {
    let mut all = 0;
    let snmp = fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut udp = snmp.lines().filter(|line| line.starts_with("Udp:"));
    if let (Some(names), Some(values)) = (udp.next(), udp.next()) {
        all += column(names, values, "RcvbufErrors");
    }
    let snmp6 = fs::read_to_string("/proc/net/snmp6").unwrap_or_default();
    for line in snmp6.lines() {
        if let Some(value) = line.strip_prefix("Udp6RcvbufErrors") {
            all += value.trim().parse::<u64>().unwrap_or(0);
        }
    }
    all
}

fn column(names: &str, values: &str, name: &str) -> u64 {
    let at = names.split_ascii_whitespace().position(|known| known == name);
    at.and_then(|at| values.split_ascii_whitespace().nth(at)?.parse().ok())
        .unwrap_or(0)
}

impl Sample {
    pub(super) fn take(pid: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            server_cpu_ns: pid.map(procfs::cpu_ns),
            own_cpu_ns: procfs::cpu_ns(std::process::id()),
            drops: receive_drops(),
            memory_bytes: pid.map(|pid| procfs::rss_kb(pid) * 1024),
        }
    }

    pub(super) fn since(&self, earlier: &Self) -> Between {
        let seconds = (self.at - earlier.at).as_secs_f64().max(0.001);
        let share = |now: u64, then: u64| now.saturating_sub(then) as f64 / 1e9 / seconds;
        Between {
            server_cpu: self
                .server_cpu_ns
                .zip(earlier.server_cpu_ns)
                .map(|(now, then)| share(now, then)),
            own_cpu: share(self.own_cpu_ns, earlier.own_cpu_ns),
            drops: self.drops.saturating_sub(earlier.drops),
        }
    }
}

/// Ringfort's web interface.
#[derive(Clone, Debug)]
pub(super) struct Web {
    host: String,
    token: Option<String>,
}

impl Web {
    /// From `http://host:port`.
    pub(super) fn new(url: &str, token_file: Option<&PathBuf>) -> Result<Self, String> {
        let host = url
            .strip_prefix("http://")
            .ok_or_else(|| format!("--capacity {url}: http://HOST:PORT is expected"))?;
        let token = token_file
            .map(|path| fs::read_to_string(path).map_err(|error| format!("--token-file {}: {error}", path.display())))
            .transpose()?;
        Ok(Self {
            host: host.trim_end_matches('/').to_owned(),
            token: token.map(|token| token.trim().to_owned()),
        })
    }

    /// What it says of its capacity.
    pub(super) fn capacity(&self) -> Result<Value, String> {
        let body = self
            .get("/api/capacity")
            .map_err(|error| format!("{}: {error}", self.host))?;
        serde_json::from_str(&body).map_err(|error| format!("{}/api/capacity: {error}: {body}", self.host))
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let address = self
            .host
            .to_socket_addrs()?
            .next()
            .ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let token = self
            .token
            .as_ref()
            .map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        // HTTP/1.0: the end of the answer is the end of the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n{token}\r\n", self.host)?;
        let mut answer = String::new();
        stream.take(LONGEST).read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if head.split(' ').nth(1) != Some("200") {
            let line = head.lines().next().unwrap_or("nothing");
            return Err(std::io::Error::other(format!("{path}: {line}")));
        }
        Ok(body.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_by_name() {
        assert_eq!(
            column("Udp: InDatagrams NoPorts RcvbufErrors", "Udp: 5 6 7", "RcvbufErrors"),
            7
        );
        assert_eq!(column("Udp: InDatagrams", "Udp: 5", "RcvbufErrors"), 0);
    }

    #[test]
    fn own_process_is_sampled() {
        let (first, pid) = (Sample::take(None), std::process::id());
        let later = Sample::take(Some(pid));
        assert!(later.memory_bytes.is_some_and(|memory| memory > 0));
        assert!(later.since(&first).server_cpu.is_none());
    }
}
