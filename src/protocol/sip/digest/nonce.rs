//! Nonces that prove themselves, and the table that refuses replay.
//!
//! A nonce is the hexadecimal text of {issue time in seconds, shard, serial number} and a keyed
//! 128-bit MAC over them. Issuing one costs no memory, so that a flood of requests without
//! credentials cannot push anything out. A slot of the fixed table is taken only when
//! [`Nonces::check`] accepts a nonce, which the caller does after it verified the response: only
//! someone with a password can take slots.
//!
//! Replay stays impossible when the table overflows: slots lie in sets of four, the set follows
//! from the serial number, and serial numbers rise with each nonce issued. When a claimed nonce
//! leaves a full set (always the oldest), the set remembers its serial number as a watermark;
//! what is not in the set and not above the watermark may have been used before, so it is
//! [`NonceVerdict::Stale`], never `Fresh`.

use super::compute::hex_pair;
use super::siphash::siphash128;
use crate::protocol::sip::text::hex_digit;
use shards::{ShardId, Time};

/// What a nonce is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceVerdict {
    /// Ours, young enough, and its count was not seen before.
    Fresh,
    /// Ours, but too old, or made by another shard, or forgotten: challenge with `stale=true`.
    Stale,
    /// Its count (or, without counts, the nonce itself) was used before: refuse.
    Replayed,
    /// Not ours.
    Forged,
}

/// The nonces of one shard. All shards are given the same key, so that each knows the other's
/// as stale and not as forged.
#[derive(Debug)]
pub struct Nonces {
    key: [u8; 16],
    shard: ShardId,
    /// Of the last nonce issued; 0 is none.
    serial: u64,
    sets: Box<[Set]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Set {
    claims: [Claim; WAYS],
    /// The highest serial number that ever left the set.
    watermark: u64,
}

/// A nonce in use; serial 0 is an empty slot.
#[derive(Clone, Copy, Debug, Default)]
struct Claim {
    serial: u64,
    /// The highest count seen; without counts the highest there is.
    count: u32,
}

impl Nonces {
    /// Seconds that a nonce lives.
    pub const LIFETIME_SECONDS: u64 = 300;
    /// Octets of a nonce's text.
    pub const TEXT_LENGTH: usize = 2 * (BODY + 16);

    /// A table for `capacity` nonces in use at a time (rounded up to a power of two). The key
    /// must come from the operating system's randomness.
    #[must_use]
    pub fn new(key: [u8; 32], shard: ShardId, capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).next_power_of_two();
        // The first half is the MAC's key. The second half goes in too, so that the whole of
        // the given entropy counts.
        let (low, high) = key.split_at(16);
        let mut low_key = [0u8; 16];
        low_key.copy_from_slice(low);
        let key = siphash128(&low_key, high);
        Nonces {
            key,
            shard,
            serial: 0,
            sets: vec![Set::default(); sets].into_boxed_slice(),
        }
    }

    /// Appends a new nonce.
    pub fn issue(&mut self, now: Time, out: &mut Vec<u8>) {
        self.serial += 1;
        let body = encode(now, self.shard, self.serial);
        let mac = siphash128(&self.key, &body);
        out.extend_from_slice(&hex::<{ 2 * BODY }>(&body));
        out.extend_from_slice(&hex::<32>(&mac));
    }

    /// Judges a nonce and, when it is `Fresh`, takes the count `nc` for used: a second call with
    /// the same arguments says `Replayed`. Call it once for each request, after the response was
    /// verified. `nc` is `None` for RFC 2617 phones without `qop`: then the nonce serves once.
    pub fn check(&mut self, now: Time, nonce: &[u8], nc: Option<u32>) -> NonceVerdict {
        let (verdict, serial) = self.judge(now, nonce, nc);
        if verdict != NonceVerdict::Fresh {
            return verdict;
        }
        let count = nc.unwrap_or(u32::MAX);
        let Some(set) = self.set_mut(serial) else {
            return NonceVerdict::Stale;
        };
        if set.claim(serial, count) {
            NonceVerdict::Fresh
        } else {
            NonceVerdict::Stale
        }
    }

    /// What [`Nonces::check`] would say now, without taking the count. Good for refusing stale
    /// and forged nonces before the response is computed; `Fresh` here is no permission.
    #[must_use]
    pub fn peek(&self, now: Time, nonce: &[u8], nc: Option<u32>) -> NonceVerdict {
        self.judge(now, nonce, nc).0
    }

    fn judge(&self, now: Time, nonce: &[u8], nc: Option<u32>) -> (NonceVerdict, u64) {
        let Some((seconds, shard, serial)) = self.decode(nonce) else {
            return (NonceVerdict::Forged, 0);
        };
        let age = now.seconds().checked_sub(seconds);
        let young = age.is_some_and(|age| age <= Self::LIFETIME_SECONDS);
        if !young || shard != self.shard || serial > self.serial {
            return (NonceVerdict::Stale, serial);
        }
        let Some(set) = self.sets.get(self.index(serial)) else {
            return (NonceVerdict::Stale, serial);
        };
        (set.judge(serial, nc), serial)
    }

    /// The fields of a nonce whose MAC is right.
    fn decode(&self, nonce: &[u8]) -> Option<(u64, ShardId, u64)> {
        let (text, mac) = nonce
            .split_at_checked(2 * BODY)
            .filter(|_| nonce.len() == Self::TEXT_LENGTH)?;
        let mut body = [0u8; BODY];
        let mut seen = 0;
        for (octet, pair) in body.iter_mut().zip(text.as_chunks::<2>().0) {
            let (high, low) = (HEX[usize::from(pair[0])], HEX[usize::from(pair[1])]);
            seen |= high | low;
            *octet = high << 4 | low;
        }
        if seen > 15 {
            return None;
        }
        // The MAC is compared as text, in either case.
        let expected = hex::<32>(&siphash128(&self.key, &body));
        let both = expected.iter().zip(mac);
        let differences = both.fold(0, |sum, (a, b)| sum | (a ^ b.to_ascii_lowercase()));
        if std::hint::black_box(differences) != 0 {
            return None;
        }
        let number = |range: std::ops::Range<usize>| {
            body.get(range)
                .unwrap_or(&[])
                .iter()
                .fold(0u64, |number, &octet| number << 8 | u64::from(octet))
        };
        Some((number(0..4), number(4..6) as ShardId, number(6..14)))
    }

    fn index(&self, serial: u64) -> usize {
        serial as usize & (self.sets.len() - 1)
    }

    fn set_mut(&mut self, serial: u64) -> Option<&mut Set> {
        let index = self.index(serial);
        self.sets.get_mut(index)
    }
}

impl Set {
    fn judge(&self, serial: u64, nc: Option<u32>) -> NonceVerdict {
        match self.claims.iter().find(|claim| claim.serial == serial) {
            // A count must rise; without one the nonce is used up by its first use.
            Some(claim) => match nc {
                Some(count) if count > claim.count => NonceVerdict::Fresh,
                _ => NonceVerdict::Replayed,
            },
            None if serial <= self.watermark => NonceVerdict::Stale,
            None if nc == Some(0) => NonceVerdict::Replayed,
            None => NonceVerdict::Fresh,
        }
    }

    /// False when the set is full of younger nonces.
    fn claim(&mut self, serial: u64, count: u32) -> bool {
        if let Some(claim) = self.claims.iter_mut().find(|claim| claim.serial == serial) {
            claim.count = count;
            return true;
        }
        let Some(oldest) = self.claims.iter_mut().min_by_key(|claim| claim.serial) else {
            return false;
        };
        if oldest.serial > serial {
            return false;
        }
        self.watermark = self.watermark.max(oldest.serial);
        *oldest = Claim { serial, count };
        true
    }
}

/// Seconds, shard, serial number; big-endian. 32 bits of seconds last 136 years from the
/// back-end's epoch.
fn encode(now: Time, shard: ShardId, serial: u64) -> [u8; BODY] {
    let mut body = [0u8; BODY];
    body[0..4].copy_from_slice(&(now.seconds() as u32).to_be_bytes());
    body[4..6].copy_from_slice(&shard.to_be_bytes());
    body[6..14].copy_from_slice(&serial.to_be_bytes());
    body
}

/// Hexadecimal digits, two for each octet.
fn hex<const DIGITS: usize>(octets: &[u8]) -> [u8; DIGITS] {
    debug_assert_eq!(octets.len() * 2, DIGITS);
    let mut digits = [0u8; DIGITS];
    for (pair, octet) in digits.as_chunks_mut::<2>().0.iter_mut().zip(octets) {
        *pair = hex_pair(*octet);
    }
    digits
}

/// The value of each hexadecimal digit; of anything else a number that no digit has.
const HEX: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut octet = 0;
    while octet < table.len() {
        if let Some(value) = hex_digit(octet as u8) {
            table[octet] = value;
        }
        octet += 1;
    }
    table
};
const WAYS: usize = 4;
/// Octets before the MAC.
const BODY: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn nonces(capacity: usize) -> Nonces {
        Nonces::new([7; 32], 3, capacity)
    }

    fn issue(nonces: &mut Nonces, now: Time) -> Vec<u8> {
        let mut out = Vec::new();
        nonces.issue(now, &mut out);
        assert_eq!(out.len(), Nonces::TEXT_LENGTH);
        out
    }

    const NOW: Time = Time::from_millis(1_000_000);

    #[test]
    fn counts_must_rise() {
        let mut nonces = nonces(16);
        let nonce = issue(&mut nonces, NOW);
        for (nc, verdict) in [
            (1, NonceVerdict::Fresh),
            (1, NonceVerdict::Replayed),
            (3, NonceVerdict::Fresh),
            (2, NonceVerdict::Replayed),
            (3, NonceVerdict::Replayed),
            (u32::MAX, NonceVerdict::Fresh),
            (u32::MAX, NonceVerdict::Replayed),
        ] {
            assert_eq!(nonces.peek(NOW, &nonce, Some(nc)), verdict, "{nc}");
            assert_eq!(nonces.check(NOW, &nonce, Some(nc)), verdict, "{nc}");
        }
        assert_eq!(nonces.check(NOW, &nonce, None), NonceVerdict::Replayed);
        let other = issue(&mut nonces, NOW);
        assert_eq!(nonces.check(NOW, &other, Some(0)), NonceVerdict::Replayed);
    }

    #[test]
    fn without_a_count_a_nonce_serves_once() {
        let mut nonces = nonces(16);
        let nonce = issue(&mut nonces, NOW);
        assert_eq!(nonces.check(NOW, &nonce, None), NonceVerdict::Fresh);
        assert_eq!(nonces.check(NOW, &nonce, None), NonceVerdict::Replayed);
        assert_eq!(nonces.check(NOW, &nonce, Some(9)), NonceVerdict::Replayed);
    }

    #[test]
    fn age_shard_and_forgery() {
        let mut ours = nonces(16);
        let nonce = issue(&mut ours, NOW);
        let end = NOW + std::time::Duration::from_secs(Nonces::LIFETIME_SECONDS);
        assert_eq!(ours.peek(end, &nonce, Some(1)), NonceVerdict::Fresh);
        assert_eq!(
            ours.check(end + std::time::Duration::from_secs(1), &nonce, Some(1)),
            NonceVerdict::Stale
        );
        assert_eq!(ours.check(Time::ZERO, &nonce, Some(1)), NonceVerdict::Stale);
        let mut other_shard = Nonces::new([7; 32], 4, 16);
        issue(&mut other_shard, NOW);
        assert_eq!(other_shard.check(NOW, &nonce, Some(1)), NonceVerdict::Stale);
        assert_eq!(
            Nonces::new([8; 32], 3, 16).check(NOW, &nonce, Some(1)),
            NonceVerdict::Forged
        );
        assert_eq!(
            nonces(16).check(NOW, &nonce, Some(1)),
            NonceVerdict::Stale,
            "from before a restart"
        );
        for index in 0..nonce.len() {
            let mut forged = nonce.clone();
            forged[index] = if forged[index] == b'0' { b'1' } else { b'0' };
            assert_eq!(ours.check(NOW, &forged, Some(1)), NonceVerdict::Forged, "{index}");
        }
        let longer = [&nonce[..], b"0"].concat();
        for bad in [&b""[..], b"x", &nonce[1..], &longer, &[b'g'; Nonces::TEXT_LENGTH]] {
            assert_eq!(ours.check(NOW, bad, Some(1)), NonceVerdict::Forged);
        }
        assert_eq!(
            ours.check(NOW, &nonce.to_ascii_uppercase(), Some(1)),
            NonceVerdict::Fresh,
            "none of this used it up, and digits are digits in either case"
        );
    }

    #[test]
    fn a_flood_of_challenges_pushes_nothing_out() {
        let mut nonces = nonces(4);
        let live = issue(&mut nonces, NOW);
        assert_eq!(nonces.check(NOW, &live, Some(1)), NonceVerdict::Fresh);
        for _ in 0..10_000 {
            issue(&mut nonces, NOW);
        }
        assert_eq!(nonces.check(NOW, &live, Some(2)), NonceVerdict::Fresh);
    }

    #[test]
    fn what_was_pushed_out_is_stale_and_never_fresh() {
        let mut nonces = nonces(8);
        let all: Vec<Vec<u8>> = (0..64).map(|_| issue(&mut nonces, NOW)).collect();
        // Claimed in an order that mixes old and young.
        for step in 0..64 {
            let verdict = nonces.check(NOW, &all[step * 37 % 64], Some(1));
            assert!(
                matches!(verdict, NonceVerdict::Fresh | NonceVerdict::Stale),
                "{step}: {verdict:?}"
            );
        }
        let again: Vec<NonceVerdict> = all.iter().map(|nonce| nonces.check(NOW, nonce, Some(1))).collect();
        assert!(!again.contains(&NonceVerdict::Fresh), "a replay got through: {again:?}");
        assert_eq!(
            again
                .iter()
                .filter(|verdict| **verdict == NonceVerdict::Replayed)
                .count(),
            8
        );
    }
}
