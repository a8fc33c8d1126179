//! Media slots: the shard's share of the RTP ports, counted from 0.
//!
//! RTP needs no steering, because a port belongs to one shard for good. A slot is an index into
//! the ring's table of direct descriptors and into the program's table of flows at once: the
//! socket index *is* the flow.

use std::net::{IpAddr, SocketAddr};

/// One media socket of one shard. Even slots are RTP ports, the odd one after it is its RTCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// The ports of one shard: `ports` consecutive ports from `first`, on each of `addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSlice {
    /// Local addresses; more addresses multiply the ports.
    pub addresses: Vec<IpAddr>,
    /// First port, even (RFC 3550 section 11).
    pub first: u16,
    /// How many ports on each address, even.
    pub ports: u32,
}

impl MediaSlice {
    /// Splits the even-aligned part of `first..=last` into `shards` slices of equal size.
    #[must_use]
    pub fn split(addresses: &[IpAddr], first: u16, last: u16, shards: usize) -> Vec<MediaSlice> {
        let start = u32::from(first) + u32::from(first % 2);
        let total = (u32::from(last) + 1).saturating_sub(start);
        let each = total / u32::try_from(shards.max(1)).unwrap_or(1) / 2 * 2;
        (0..u32::try_from(shards).unwrap_or(0))
            .map(|shard| MediaSlice {
                addresses: addresses.to_vec(),
                first: u16::try_from(start + shard * each).unwrap_or(u16::MAX - 1),
                ports: each,
            })
            .collect()
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.ports * u32::try_from(self.addresses.len()).unwrap_or(0)
    }

    /// The local address of a slot; `None` beyond the end.
    #[must_use]
    pub fn address(&self, slot: Slot) -> Option<SocketAddr> {
        let ip = self.addresses.get((slot.0.checked_div(self.ports)?) as usize)?;
        let port = u16::try_from(u32::from(self.first) + slot.0 % self.ports).ok()?;
        Some(SocketAddr::new(*ip, port))
    }
}
