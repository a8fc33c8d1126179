//! The allocator of port pairs.

use super::own::OwnSockets;
use super::types::{MediaCounters, MediaError};
use shards::{MediaSlice, OpenError, Slot, Time};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A shard's port pairs: even for RTP, the next for RTCP (RFC 3550 section 11). Released pairs
/// rest, so that late packets of an old call cannot meet a new one; rested pairs are used before
/// fresh ones, so that the number of open sockets follows the load.
pub struct Ports {
    slice: MediaSlice,
    rows: Vec<Row>,
    quarantine: Duration,
    own: Arc<OwnSockets>,
}

/// The pairs of one address, by index.
struct Row {
    /// Never used: `fresh_left` pairs from `fresh_next` on, around the end.
    fresh_next: u32,
    fresh_left: u32,
    /// Used before, free.
    ready: VecDeque<u32>,
    /// Released at that time, oldest first.
    resting: VecDeque<(Time, u32)>,
    /// Somebody else had the port at that time, oldest first.
    barred: VecDeque<(Time, u32)>,
}

/// How a pair is to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// On one of these addresses, in order of preference.
    pub addresses: &'a [IpAddr],
    /// Preferably of this family: true is IPv6.
    pub v6: Option<bool>,
    /// Whether the RTCP port is needed.
    pub rtcp: bool,
    /// For an emergency call: the last pairs are kept for these.
    pub urgent: bool,
}

impl Ports {
    /// All free. `first` chooses where to begin, so that ports cannot be foreseen after a restart.
    #[must_use]
    pub fn new(slice: MediaSlice, quarantine: Duration, own: Arc<OwnSockets>, first: u32) -> Self {
        let pairs = slice.ports / 2;
        let row = || Row {
            fresh_next: first.checked_rem(pairs).unwrap_or(0),
            fresh_left: pairs,
            ready: VecDeque::new(),
            resting: VecDeque::new(),
            barred: VecDeque::new(),
        };
        let rows = slice.addresses.iter().map(|_| row()).collect();
        Self {
            slice,
            rows,
            quarantine,
            own,
        }
    }

    /// Takes and opens a pair; returns its even slot.
    /// # Errors
    /// [`MediaError::Exhausted`]: no pair is free on the wanted addresses, many in a row belong to
    /// somebody else, or the machine has no more descriptors. All is given back then.
    pub fn take(
        &mut self,
        now: Time,
        open: &mut dyn FnMut(Slot) -> Result<(), OpenError>,
        wanted: Wanted<'_>,
        counters: &mut MediaCounters,
    ) -> Result<Slot, MediaError> {
        self.refresh(now);
        if !wanted.urgent && self.free_pairs() <= self.kept() {
            return Err(MediaError::Exhausted);
        }
        let taken = self.take_open(now, open, wanted, counters);
        self.gauge(counters);
        taken
    }

    /// Opens the RTCP port of a pair that was taken without.
    /// # Errors
    /// [`MediaError::Exhausted`] when it cannot be had.
    pub fn open_rtcp(&self, open: &mut dyn FnMut(Slot) -> Result<(), OpenError>, slot: Slot) -> Result<(), MediaError> {
        self.open(open, Slot(slot.0 | 1)).map_err(|_| MediaError::Exhausted)
    }

    /// A pair that was never shown to anybody is free at once.
    pub fn give_back(&mut self, slot: Slot, counters: &mut MediaCounters) {
        if let Some((row, pair)) = self.row(slot) {
            row.ready.push_front(pair);
        }
        self.gauge(counters);
    }

    /// A pair goes to rest.
    pub fn rest(&mut self, now: Time, slot: Slot, counters: &mut MediaCounters) {
        if let Some((row, pair)) = self.row(slot) {
            row.resting.push_back((now, pair));
        }
        self.gauge(counters);
    }

    /// Rested pairs become free; pairs that somebody else had are tried again after ten minutes.
    pub fn expire(&mut self, now: Time, counters: &mut MediaCounters) {
        self.refresh(now);
        self.gauge(counters);
    }

    /// Whether any pair rests.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.rows
            .iter()
            .any(|row| !row.resting.is_empty() || !row.barred.is_empty())
    }

    /// The bound address of a slot.
    #[must_use]
    pub fn address(&self, slot: Slot) -> Option<SocketAddr> {
        self.slice.address(slot)
    }

    /// Whether an address is a media socket of this process.
    #[must_use]
    pub fn is_own(&self, address: SocketAddr) -> bool {
        self.own.contains(address)
    }

    fn take_open(
        &mut self,
        now: Time,
        open: &mut dyn FnMut(Slot) -> Result<(), OpenError>,
        wanted: Wanted<'_>,
        counters: &mut MediaCounters,
    ) -> Result<Slot, MediaError> {
        for _ in 0..TRIES {
            let (at, pair) = self.next(wanted).ok_or(MediaError::Exhausted)?;
            let slot = Slot(at as u32 * self.slice.ports + pair * 2);
            let mut opened = self.open(open, slot);
            if opened.is_ok() && wanted.rtcp {
                opened = self.open(open, Slot(slot.0 | 1));
            }
            let Some(row) = self.rows.get_mut(at) else { break };
            match opened {
                Ok(()) => return Ok(slot),
                Err(OpenError::InUse) => {
                    counters.ports_in_use += 1;
                    row.barred.push_back((now, pair));
                }
                Err(OpenError::Exhausted) => {
                    row.ready.push_front(pair);
                    break;
                }
            }
        }
        Err(MediaError::Exhausted)
    }

    fn open(&self, open: &mut dyn FnMut(Slot) -> Result<(), OpenError>, slot: Slot) -> Result<(), OpenError> {
        open(slot)?;
        if let Some(address) = self.address(slot) {
            self.own.opened(address);
        }
        Ok(())
    }

    /// The next free pair: its row and index.
    fn next(&mut self, wanted: Wanted<'_>) -> Option<(usize, u32)> {
        let pairs = self.slice.ports / 2;
        let fits = |ip: &&IpAddr, family: bool| wanted.v6.is_none_or(|v6| (ip.is_ipv6() == v6) == family);
        let same = wanted.addresses.iter().filter(|ip| fits(ip, true));
        let other = wanted
            .addresses
            .iter()
            .filter(|ip| wanted.v6.is_some() && fits(ip, false));
        for ip in same.chain(other) {
            let Some(at) = self.slice.addresses.iter().position(|bound| bound == ip) else {
                continue;
            };
            let pair = self.rows.get_mut(at).and_then(|row| row.next(pairs));
            if let Some(pair) = pair {
                return Some((at, pair));
            }
        }
        None
    }

    fn row(&mut self, slot: Slot) -> Option<(&mut Row, u32)> {
        debug_assert!(slot.0.is_multiple_of(2), "a pair is named by its even slot");
        let ports = self.slice.ports;
        let row = self.rows.get_mut(slot.0.checked_div(ports)? as usize)?;
        Some((row, slot.0 % ports / 2))
    }

    fn refresh(&mut self, now: Time) {
        for row in &mut self.rows {
            while let Some(&(since, pair)) = row.resting.front()
                && now >= since + self.quarantine
            {
                row.resting.pop_front();
                row.ready.push_back(pair);
            }
            while let Some(&(since, pair)) = row.barred.front()
                && now >= since + BARRED
            {
                row.barred.pop_front();
                row.ready.push_back(pair);
            }
        }
    }

    fn free_pairs(&self) -> usize {
        let free = |row: &Row| row.ready.len() + row.fresh_left as usize;
        self.rows.iter().map(free).sum()
    }

    /// Pairs that only emergency calls may take; none of a small range.
    fn kept(&self) -> usize {
        let pairs = self.rows.len() * (self.slice.ports / 2) as usize;
        (pairs / 64).min(KEPT_PAIRS)
    }

    fn gauge(&self, counters: &mut MediaCounters) {
        let count = |of: fn(&Row) -> usize| self.rows.iter().map(|row| of(row) as u64 * 2).sum::<u64>();
        let barred = count(|row| row.barred.len());
        counters.ports_free = count(|row| row.ready.len() + row.fresh_left as usize);
        counters.ports_quarantined = count(|row| row.resting.len());
        let total = u64::from(self.slice.ports / 2) * 2 * self.rows.len() as u64;
        counters.ports_used = total.saturating_sub(counters.ports_free + counters.ports_quarantined + barred);
    }
}

impl Row {
    fn next(&mut self, pairs: u32) -> Option<u32> {
        if let Some(pair) = self.ready.pop_front() {
            return Some(pair);
        }
        self.fresh_left = self.fresh_left.checked_sub(1)?;
        let pair = self.fresh_next;
        self.fresh_next = (pair + 1) % pairs;
        Some(pair)
    }
}

/// Pairs tried for one request before it is refused; bounds the time of one call set-up.
const TRIES: usize = 64;
/// Pairs kept for emergency calls, of which a relayed one takes two.
const KEPT_PAIRS: usize = 16;
/// How long a port that somebody else has is left alone.
const BARRED: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const SECOND: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn ports(addresses: &[IpAddr], count: u32) -> Ports {
        let slice = MediaSlice {
            addresses: addresses.to_vec(),
            first: 20_000,
            ports: count,
        };
        let shown: Vec<_> = addresses.iter().map(|&ip| (ip, ip)).collect();
        Ports::new(
            slice,
            Duration::from_secs(5),
            Arc::new(OwnSockets::new(&shown, (20_000, 20_999))),
            3,
        )
    }

    fn wanted(addresses: &[IpAddr]) -> Wanted<'_> {
        Wanted {
            addresses,
            v6: None,
            rtcp: true,
            urgent: false,
        }
    }

    #[test]
    fn pairs_until_exhausted_then_quarantine() {
        let mut ports = ports(&[HOME], 8);
        let mut counters = MediaCounters::default();
        let mut opened = Vec::new();
        let mut open = |slot: Slot| {
            opened.push(slot.0);
            Ok(())
        };
        let at = Time::from_millis;
        let taken: Vec<_> = (0..4)
            .map(|_| ports.take(at(0), &mut open, wanted(&[HOME]), &mut counters).unwrap().0)
            .collect();
        assert_eq!(taken, [6, 0, 2, 4], "from the given start, around the end");
        assert_eq!(
            ports.take(at(0), &mut open, wanted(&[HOME]), &mut counters),
            Err(MediaError::Exhausted)
        );
        assert_eq!((counters.ports_used, counters.ports_free), (8, 0));
        ports.rest(at(1000), Slot(2), &mut counters);
        ports.rest(at(2000), Slot(0), &mut counters);
        assert_eq!((counters.ports_used, counters.ports_quarantined), (4, 4));
        assert!(ports.take(at(5999), &mut open, wanted(&[HOME]), &mut counters).is_err());
        assert_eq!(
            ports.take(at(7000), &mut open, wanted(&[HOME]), &mut counters),
            Ok(Slot(2))
        );
        assert_eq!(
            ports.take(at(7000), &mut open, wanted(&[HOME]), &mut counters),
            Ok(Slot(0))
        );
        assert_eq!(opened[..4], [6, 7, 0, 1]);
        assert!(ports.is_own("127.0.0.1:20007".parse().unwrap()));
    }

    #[test]
    fn foreign_ports_are_skipped_and_tried_again_much_later() {
        let mut ports = ports(&[HOME], 8);
        let mut counters = MediaCounters::default();
        let mut open = |slot: Slot| {
            if slot.0 == 6 || slot.0 == 1 {
                Err(OpenError::InUse)
            } else {
                Ok(())
            }
        };
        let slot = ports
            .take(Time::ZERO, &mut open, wanted(&[HOME]), &mut counters)
            .unwrap();
        assert_eq!((slot, counters.ports_in_use), (Slot(2), 2));
        ports
            .take(Time::ZERO, &mut open, wanted(&[HOME]), &mut counters)
            .unwrap();
        assert!(
            ports
                .take(Time::ZERO, &mut open, wanted(&[HOME]), &mut counters)
                .is_err()
        );
        let later = Time::from_millis(601_000);
        let slot = ports
            .take(later, &mut |_| Ok(()), wanted(&[HOME]), &mut counters)
            .unwrap();
        assert_eq!(slot, Slot(6));
    }

    /// Of 128 pairs the last two are for emergency calls.
    #[test]
    fn the_last_pairs_are_for_emergency_calls() {
        let mut ports = ports(&[HOME], 256);
        let mut counters = MediaCounters::default();
        let mut take = |urgent| {
            let wanted = Wanted {
                urgent,
                ..wanted(&[HOME])
            };
            ports.take(Time::ZERO, &mut |_| Ok(()), wanted, &mut counters).is_ok()
        };
        assert_eq!((0..128).filter(|_| take(false)).count(), 126);
        assert_eq!((0..8).filter(|_| take(true)).count(), 2);
    }

    #[test]
    fn no_descriptors_gives_the_pair_back() {
        let mut ports = ports(&[HOME], 8);
        let mut counters = MediaCounters::default();
        let mut open = |slot: Slot| {
            if slot.0 % 2 == 1 {
                Err(OpenError::Exhausted)
            } else {
                Ok(())
            }
        };
        assert!(
            ports
                .take(Time::ZERO, &mut open, wanted(&[HOME]), &mut counters)
                .is_err()
        );
        assert_eq!((counters.ports_free, counters.ports_used), (8, 0));
    }

    #[test]
    fn addresses_and_families() {
        let mut ports = ports(&[HOME, SECOND], 4);
        let mut counters = MediaCounters::default();
        let mut take = |addresses: &[IpAddr], v6| {
            ports.take(
                Time::ZERO,
                &mut |_| Ok(()),
                Wanted {
                    addresses,
                    v6,
                    rtcp: false,
                    urgent: false,
                },
                &mut counters,
            )
        };
        assert!(take(&[SECOND], None).unwrap().0 >= 4);
        assert!(take(&[HOME, SECOND], Some(true)).unwrap().0 >= 4);
        assert!(
            take(&[HOME, SECOND], Some(true)).unwrap().0 < 4,
            "the other family when one is used up"
        );
        assert_eq!(take(&[SECOND], None), Err(MediaError::Exhausted));
        assert_eq!(take(&["9.9.9.9".parse().unwrap()], None), Err(MediaError::Exhausted));
    }
}
