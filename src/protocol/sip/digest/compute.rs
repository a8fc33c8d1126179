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
/// Sites keep one for each user, realm and algorithm, hence the octets and not their text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ha1 {
    algorithm: DigestAlgorithm,
    octets: [u8; 32],
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
        for (pair, octet) in digits.as_chunks_mut::<2>().0.iter_mut().zip(hash) {
            *pair = hex_pair(*octet);
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
        let parts = [user, realm, password];
        let mut octets = [0u8; 32];
        let mut keep = |hash: &[u8]| octets.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
        match alg {
            DigestAlgorithm::Sha256 => keep(&joined(Sha256::new(), &parts)),
            DigestAlgorithm::Md5 => keep(&joined(Md5::new(), &parts)),
        }
        Ha1 { algorithm: alg, octets }
    }

    /// From stored digits; `None` when they are not as many as the algorithm gives.
    #[must_use]
    pub fn from_hex(alg: DigestAlgorithm, digits: &[u8]) -> Option<Ha1> {
        if digits.len() != 2 * octets_of(alg) {
            return None;
        }
        let mut octets = [0u8; 32];
        for (octet, pair) in octets.iter_mut().zip(digits.as_chunks::<2>().0) {
            *octet = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Ha1 { algorithm: alg, octets })
    }

    /// The digits.
    #[must_use]
    pub fn hex(&self) -> HexDigest {
        HexDigest::of(self.octets.get(..octets_of(self.algorithm)).unwrap_or(&[]))
    }
}

impl std::fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ha1(..)")
    }
}

/// H(method ":" digest-uri) for [`response`].
#[must_use]
pub fn ha2(alg: DigestAlgorithm, method: &[u8], uri: &[u8]) -> HexDigest {
    hash(alg, &[method, uri])
}

/// The response that the credentials should carry: with `qop`
/// H(HA1:nonce:nc:cnonce:qop:HA2), without it (RFC 2617 section 3.2.2.1) H(HA1:nonce:HA2).
#[must_use]
pub fn response(alg: DigestAlgorithm, ha1: &Ha1, credentials: &Credentials<'_>, ha2: &HexDigest) -> HexDigest {
    let ha1 = ha1.hex();
    let ha1 = ha1.as_bytes();
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
pub fn verify(alg: DigestAlgorithm, ha1: &Ha1, credentials: &Credentials<'_>, ha2: &HexDigest) -> bool {
    let expected = response(alg, ha1, credentials, ha2);
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
        DigestAlgorithm::Sha256 => HexDigest::of(&joined(Sha256::new(), parts)),
        DigestAlgorithm::Md5 => HexDigest::of(&joined(Md5::new(), parts)),
    }
}

fn joined<D: md5::Digest>(mut hasher: D, parts: &[&[u8]]) -> md5::digest::Output<D> {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    hasher.finalize()
}

/// How long a hash is.
const fn octets_of(alg: DigestAlgorithm) -> usize {
    match alg {
        DigestAlgorithm::Sha256 => 32,
        DigestAlgorithm::Md5 => 16,
    }
}

/// Two hexadecimal digits.
pub(crate) const fn hex_pair(octet: u8) -> [u8; 2] {
    HEX_PAIRS[octet as usize]
}

const HEX_PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut octet = 0;
    while octet < pairs.len() {
        pairs[octet] = [digits[octet >> 4], digits[octet & 15]];
        octet += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 section 3.9.1, both algorithms, and RFC 2617 section 3.5.
    const VECTORS: [(&str, DigestAlgorithm, &str); 3] = [
        (
            r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5,
             nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
             cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
             response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
            DigestAlgorithm::Md5,
            "Circle of Life",
        ),
        (
            r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=SHA-256,
             nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
             cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
             response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1""#,
            DigestAlgorithm::Sha256,
            "Circle of Life",
        ),
        (
            r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
             uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1""#,
            DigestAlgorithm::Md5,
            "Circle Of Life",
        ),
    ];

    #[test]
    fn test_vectors_of_the_rfcs() {
        for (header, alg, password) in VECTORS {
            let credentials = Credentials::parse(header.as_bytes()).expect("credentials");
            assert_eq!(credentials.algorithm, alg);
            let ha1 = Ha1::new(alg, b"Mufasa", credentials.realm, password.as_bytes());
            let get = ha2(alg, b"GET", credentials.uri);
            assert_eq!(response(alg, &ha1, &credentials, &get).as_bytes(), credentials.response);
            assert!(verify(alg, &ha1, &credentials, &get));
            assert!(!verify(alg, &ha1, &credentials, &ha2(alg, b"get", credentials.uri)));
            let wrong = Ha1::new(alg, b"Mufasa", credentials.realm, b"x");
            assert!(!verify(alg, &wrong, &credentials, &get));
            assert_eq!(Ha1::from_hex(alg, ha1.hex().as_bytes()), Some(ha1));
        }
    }

    /// RFC 2617 section 3.2.2.1 without qop; the hash by `md5sum` over the joined text.
    #[test]
    fn without_qop() {
        let text = "Digest username=alice, realm=r, nonce=n, uri=\"sip:r\", response=00000000000000000000000000000000";
        let credentials = Credentials::parse(text.as_bytes()).expect("credentials");
        let ha1 = Ha1::new(DigestAlgorithm::Md5, b"alice", b"r", b"secret");
        assert_eq!(ha1.hex().as_str(), "5a2a1586d5189f527d03bc41fbde1937");
        let ha2 = ha2(DigestAlgorithm::Md5, b"REGISTER", credentials.uri);
        assert_eq!(
            response(DigestAlgorithm::Md5, &ha1, &credentials, &ha2).as_str(),
            "0eec2f213a91df4590063e6c2e1ca791"
        );
        assert!(!verify(DigestAlgorithm::Md5, &ha1, &credentials, &ha2));
    }

    #[test]
    fn stored_hashes_are_checked() {
        assert_eq!(Ha1::from_hex(DigestAlgorithm::Md5, b"00"), None);
        assert_eq!(Ha1::from_hex(DigestAlgorithm::Md5, &[b'g'; 32]), None);
        assert_eq!(
            format!("{:?}", Ha1::new(DigestAlgorithm::Md5, b"a", b"b", b"c")),
            "Ha1(..)"
        );
    }
}
