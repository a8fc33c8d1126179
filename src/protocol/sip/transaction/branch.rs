//! The branch that we mint: RFC 3261's magic cookie, then home shard, slot and random, so that
//! a response finds its shard and its transaction without a look-up, and nobody can guess it.

use crate::protocol::hex;
use shards::ShardId;
use std::ops::Deref;

/// What a branch of RFC 3261 starts with (section 8.1.1.7).
pub(super) const COOKIE: &[u8] = b"z9hG4bK";
/// Cookie, and a mark of our form.
const START: &[u8] = b"z9hG4bK-r";
/// Start, shard (4 hex digits), slot (8), random (16).
const LENGTH: usize = START.len() + 28;

/// The text of a branch parameter, at most 40 octets. Reads as octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    text: [u8; LENGTH],
}

/// What a branch of our form says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) shard: ShardId,
    pub(super) slot: u32,
    pub(super) random: u64,
}

impl Branch {
    pub(super) fn new(parts: Parts) -> Self {
        let mut text = [0; LENGTH];
        let (start, numbers) = text.split_at_mut(START.len());
        start.copy_from_slice(START);
        let [.., a, b, c, d] = hex::digits(u32::from(parts.shard));
        let pieces = [
            &[a, b, c, d][..],
            &hex::digits(parts.slot),
            &hex::digits((parts.random >> 32) as u32),
            &hex::digits(parts.random as u32),
        ];
        let mut rest = numbers;
        for piece in pieces {
            let (place, behind) = rest.split_at_mut(piece.len());
            place.copy_from_slice(piece);
            rest = behind;
        }
        Self { text }
    }
}

impl Deref for Branch {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.text
    }
}

/// Reads a branch; `None` when it is not exactly of our form. One value has one text, so equal
/// parts mean equal branches.
pub(super) fn parse(branch: &[u8]) -> Option<Parts> {
    let numbers = branch.strip_prefix(START)?;
    let (&[a, b, c, d], numbers) = numbers.split_first_chunk::<4>()?;
    let (slot, random) = numbers.split_first_chunk::<8>()?;
    Some(Parts {
        shard: u16::try_from(hex::read([b'0', b'0', b'0', b'0', a, b, c, d])?).ok()?,
        slot: hex::read(*slot)?,
        random: hex::read_long(random)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for parts in [
            Parts {
                shard: 0,
                slot: 0,
                random: 0,
            },
            Parts {
                shard: u16::MAX,
                slot: u32::MAX,
                random: u64::MAX,
            },
            Parts {
                shard: 3,
                slot: 0x1234,
                random: 0xfedc_ba98_7654_3210,
            },
        ] {
            let branch = Branch::new(parts);
            assert!(branch.len() <= 40 && branch.starts_with(COOKIE));
            assert_eq!(parse(&branch), Some(parts));
        }
    }

    #[test]
    fn others_are_not_ours() {
        let ours = Branch::new(Parts {
            shard: 1,
            slot: 2,
            random: 0xabc,
        })
        .to_vec();
        let longer = [&ours[..], b"0"].concat();
        let upper = ours.to_ascii_uppercase();
        for other in [
            &b""[..],
            b"z9hG4bK",
            b"z9hG4bK-r",
            b"z9hG4bK776asdhds",
            &ours[..30],
            &longer,
            &upper,
        ] {
            assert_eq!(parse(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
