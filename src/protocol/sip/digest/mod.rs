//! Digest authentication: RFC 7616, RFC 8760, and RFC 2617 for old phones.

mod compute;
mod credentials;
mod nonce;
mod siphash;

pub use crate::config::plan::DigestAlgorithm;
pub(crate) use compute::hex_pair;
pub use compute::{Ha1, HexDigest, ha2, response, verify};
pub use credentials::{Credentials, DigestError};
pub use nonce::{NonceVerdict, Nonces};

/// Appends the value of a WWW-Authenticate or Proxy-Authenticate header.
pub fn challenge(out: &mut Vec<u8>, realm: &[u8], nonce: &[u8], alg: DigestAlgorithm, stale: bool) {
    out.extend_from_slice(b"Digest realm=\"");
    let mut rest = realm;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.push(b'\\');
        out.extend(special.first());
        rest = special.get(1..).unwrap_or(&[]);
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\", nonce=\"");
    out.extend_from_slice(nonce);
    out.extend_from_slice(b"\", algorithm=");
    out.extend_from_slice(credentials::algorithm_text(alg).as_bytes());
    out.extend_from_slice(b", qop=\"auth\"");
    if stale {
        out.extend_from_slice(b", stale=true");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let mut out = Vec::new();
        challenge(&mut out, b"campus \"x\"", b"abc", DigestAlgorithm::Sha256, true);
        assert_eq!(
            out,
            br#"Digest realm="campus \"x\"", nonce="abc", algorithm=SHA-256, qop="auth", stale=true"#
        );
        out.clear();
        challenge(&mut out, b"r", b"abc", DigestAlgorithm::Md5, false);
        assert_eq!(out, br#"Digest realm="r", nonce="abc", algorithm=MD5, qop="auth""#);
    }
}
