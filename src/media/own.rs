//! Which media ports the whole process has open.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

/// Which media ports this process has ever opened: a bit for each port of each address. Shared by
/// all shards and touched at call set-up only. A phone on this machine may well use a port of the
/// configured range that we have not opened, so the range alone does not tell.
#[derive(Debug)]
pub struct OwnSockets {
    /// Bound and advertised address of each row.
    rows: Vec<(IpAddr, IpAddr)>,
    first: u16,
    per_row: usize,
    bits: Vec<AtomicU64>,
}

impl OwnSockets {
    /// None open yet. `addresses` are all bound media addresses of the process, each with what
    /// the outside sees instead; `ports` is the whole range over all shards.
    #[must_use]
    pub fn new(addresses: &[(IpAddr, IpAddr)], ports: (u16, u16)) -> Self {
        let per_row = usize::from(ports.1.saturating_sub(ports.0)) / 64 + 1;
        let mut bits = Vec::new();
        bits.resize_with(per_row * addresses.len(), AtomicU64::default);
        Self {
            rows: addresses.to_vec(),
            first: ports.0,
            per_row,
            bits,
        }
    }

    /// Whether `address` is a media socket of ours, as bound or as advertised.
    #[must_use]
    pub fn contains(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let on = |row: usize| {
            self.bit(row, address.port())
                .is_some_and(|(word, mask)| word.load(Ordering::Relaxed) & mask != 0)
        };
        self.rows
            .iter()
            .enumerate()
            .any(|(row, &(bound, shown))| (bound == ip || shown == ip) && on(row))
    }

    /// Marks the bound `address` as open.
    pub fn opened(&self, address: SocketAddr) {
        for (row, &(bound, _)) in self.rows.iter().enumerate() {
            if bound == address.ip()
                && let Some((word, mask)) = self.bit(row, address.port())
            {
                word.fetch_or(mask, Ordering::Relaxed);
            }
        }
    }

    fn bit(&self, row: usize, port: u16) -> Option<(&AtomicU64, u64)> {
        let at = usize::from(port.checked_sub(self.first)?);
        if at / 64 >= self.per_row {
            return None;
        }
        Some((self.bits.get(row * self.per_row + at / 64)?, 1 << (at % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_sockets() {
        let home: IpAddr = "127.0.0.1".parse().unwrap();
        let shown: IpAddr = "198.51.100.1".parse().unwrap();
        let own = OwnSockets::new(&[(home, shown)], (20_000, 20_099));
        own.opened("127.0.0.1:20099".parse().unwrap());
        for (address, ours) in [
            ("127.0.0.1:20099", true),
            ("198.51.100.1:20099", true),
            ("[::ffff:127.0.0.1]:20099", true),
            ("127.0.0.1:20098", false),
            ("127.0.0.2:20099", false),
            ("127.0.0.1:19999", false),
            ("127.0.0.1:65535", false),
        ] {
            assert_eq!(own.contains(address.parse().unwrap()), ours, "{address}");
        }
    }
}
