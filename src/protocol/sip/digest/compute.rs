//! The hashes: RFC 7616 section 3.4.1.

use super::{Credentials, DigestAlgorithm};
use crate::protocol::sip::text::hex_digit;
use md5::{Digest as _, Md5};
use sha2::Sha256;

/// A hash in lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HexDigest {
    digits: [u8; 64],
    length: u8,
}

/// H(user ":" realm ":" password): as good as the password for its realm, so it is not printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ha1 {
    hex: HexDigest,
}

impl HexDigest {
    /// The digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(..usize::from(self.length)).unwrap_or(&[])
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn of(hash: &[u8]) -> HexDigest {
        debug_assert!(hash.len() <= 32, "no algorithm here is longer");
        let mut digits = [0u8; 64];
        for (pair, octet) in digits.chunks_exact_mut(2).zip(hash) {
            pair.copy_from_slice(&hex_pair(*octet));
        }
        HexDigest {
            digits,
            length: (hash.len().min(32) * 2) as u8,
        }
    }
}

impl std::fmt::Debug for HexDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Ha1 {
    /// From a password.
    #[must_use]
    pub fn new(alg: DigestAlgorithm, user: &[u8], realm: &[u8], password: &[u8]) -> Ha1 {
        Ha1 {
            hex: hash(alg, &[user, realm, password]),
        }
    }

    /// From stored digits; `None` when they are not as many as the algorithm gives.
    #[must_use]
    pub fn from_hex(alg: DigestAlgorithm, digits: &[u8]) -> Option<Ha1> {
        let length = match alg {
            DigestAlgorithm::Sha256 => 64,
            DigestAlgorithm::Md5 => 32,
        };
        if digits.len() != length || !digits.iter().all(|&octet| hex_digit(octet).is_some()) {
            return None;
        }
        let mut hex = HexDigest {
            digits: [0; 64],
            length: length as u8,
        };
        for (to, from) in hex.digits.iter_mut().zip(digits) {
            *to = from.to_ascii_lowercase();
        }
        Some(Ha1 { hex })
    }

    /// The digits.
    #[must_use]
    pub const fn hex(&self) -> &HexDigest {
        &self.hex
    }
}

impl std::fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ha1(..)")
    }
}

/// The response that the credentials should carry: with `qop`
/// H(HA1:nonce:nc:cnonce:qop:HA2), without it (RFC 2617 section 3.2.2.1) H(HA1:nonce:HA2).
#[must_use]
pub fn response(alg: DigestAlgorithm, ha1: &Ha1, credentials: &Credentials<'_>, method: &[u8]) -> HexDigest {
    let ha2 = hash(alg, &[method, credentials.uri]);
    let ha1 = ha1.hex.as_bytes();
    if credentials.qop.is_empty() {
        return hash(alg, &[ha1, credentials.nonce, ha2.as_bytes()]);
    }
    let Credentials {
        nonce,
        nc_text,
        cnonce,
        qop,
        ..
    } = *credentials;
    hash(alg, &[ha1, nonce, nc_text, cnonce, qop, ha2.as_bytes()])
}

/// Whether the credentials prove knowledge of `ha1`'s password. Takes the same time whatever
/// the answer. For an unknown user, call it with any `ha1` and take the answer as false, so
/// that the time does not tell either.
#[must_use]
pub fn verify(alg: DigestAlgorithm, ha1: &Ha1, credentials: &Credentials<'_>, method: &[u8]) -> bool {
    let expected = response(alg, ha1, credentials, method);
    let expected = expected.as_bytes();
    if expected.len() != credentials.response.len() {
        return false;
    }
    let pairs = expected.iter().zip(credentials.response);
    let differences = pairs.fold(0u8, |sum, (a, b)| sum | (a ^ b.to_ascii_lowercase()));
    std::hint::black_box(differences) == 0
}

/// The hash of the parts with colons between them.
fn hash(alg: DigestAlgorithm, parts: &[&[u8]]) -> HexDigest {
    match alg {
        DigestAlgorithm::Sha256 => hash_with(Sha256::new(), parts),
        DigestAlgorithm::Md5 => hash_with(Md5::new(), parts),
    }
}

fn hash_with<D: md5::Digest>(mut hasher: D, parts: &[&[u8]]) -> HexDigest {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    HexDigest::of(&hasher.finalize())
}

/// Two hexadecimal digits.
pub(super) const fn hex_pair(octet: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[(octet >> 4) as usize], DIGITS[(octet & 15) as usize]]
}
