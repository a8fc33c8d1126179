//! Digest authentication: credentials, the challenge, nonces.

use super::message::show;
use ringfort::protocol::sip::digest::{
    Credentials, DigestAlgorithm, Ha1, NonceVerdict, Nonces, challenge as write_challenge, ha2, response, verify,
};
use shards::Time;
use std::time::Duration;

pub(super) fn credentials(octets: &[u8]) {
    let Ok(read) = Credentials::parse(octets) else { return };
    let mut out = b"Digest ".to_vec();
    for (name, value) in [
        ("username", read.username),
        ("realm", read.realm),
        ("nonce", read.nonce),
        ("uri", read.uri),
        ("response", read.response),
        ("opaque", read.opaque),
    ] {
        out.extend([name.as_bytes(), b"=\"", value, b"\", "].concat());
    }
    out.extend(match read.algorithm {
        DigestAlgorithm::Md5 => &b"algorithm=MD5"[..],
        DigestAlgorithm::Sha256 => b"algorithm=SHA-256",
    });
    if !read.qop.is_empty() {
        out.extend(
            [
                b", qop=",
                read.qop,
                b", nc=",
                read.nc_text,
                b", cnonce=\"",
                read.cnonce,
                b"\"",
            ]
            .concat(),
        );
    }
    let again = Credentials::parse(&out).unwrap_or_else(|fault| panic!("{fault:?}: {}", show(&out)));
    assert_eq!(again, read, "{}", show(&out));
    assert_eq!(read.nc.is_some(), !read.qop.is_empty(), "RFC 7616 section 3.4");
    only_the_right_answer(&read);
}

/// The computed answer is accepted, every other one refused (RFC 7616 section 3.4.1).
fn only_the_right_answer(read: &Credentials<'_>) {
    let ha1 = Ha1::new(read.algorithm, b"alice", b"campus.example", b"secret");
    let ha2 = ha2(read.algorithm, b"REGISTER", read.uri);
    let right = response(read.algorithm, &ha1, read, &ha2);
    let mut digits = right.as_bytes().to_vec();
    let upper = digits.to_ascii_uppercase();
    let verdict = |digits: &[u8]| {
        verify(
            read.algorithm,
            &ha1,
            &Credentials {
                response: digits,
                ..*read
            },
            &ha2,
        )
    };
    assert!(verdict(&digits) && verdict(&upper));
    let place = read.nonce.len() % digits.len();
    digits[place] = if digits[place] == b'0' { b'1' } else { b'0' };
    assert!(!verdict(&digits) && !verdict(b"") && !verdict(&right.as_bytes()[1..]));
    assert_eq!(
        verdict(read.response),
        read.response.eq_ignore_ascii_case(right.as_bytes())
    );
}

/// The input is the realm: what a phone reads of the challenge is the realm again.
pub(super) fn challenge(octets: &[u8]) {
    // A realm is a name of the configuration; it holds no control characters.
    let realm: Vec<u8> = octets
        .iter()
        .copied()
        .filter(|octet| *octet >= b' ' && *octet != 0x7f)
        .collect();
    let mut out = Vec::new();
    write_challenge(
        &mut out,
        &realm,
        b"abc",
        DigestAlgorithm::Sha256,
        octets.len().is_multiple_of(2),
    );
    assert!(out.iter().all(|octet| *octet >= b' '), "one line");
    let rest = out.strip_prefix(b"Digest realm=\"").expect("the realm comes first");
    let (mut read, mut rest) = (Vec::new(), rest.iter());
    while let Some(octet) = rest.next() {
        match octet {
            b'"' => break,
            b'\\' => read.extend(rest.next()),
            octet => read.push(*octet),
        }
    }
    assert_eq!(read, realm);
    assert!(rest.as_slice().starts_with(b", nonce=\"abc\", "));
    // A phone gives the realm back as it was written: it must compare as the same.
    let text = &out[b"Digest realm=\"".len()..out.len() - rest.as_slice().len() - 1];
    let back = [
        b"Digest username=\"u\", realm=\"",
        text,
        b"\", nonce=\"n\", uri=\"sip:x\", response=\"0123456789abcdef0123456789abcdef\"",
    ]
    .concat();
    match Credentials::parse(&back) {
        Ok(credentials) => assert_eq!(credentials.realm, text),
        Err(fault) => assert!(realm.is_empty(), "{fault:?}: {}", show(&back)),
    }
}

/// A nonce that was not issued is never taken, an issued one once for each count.
pub(super) fn nonce(octets: &[u8]) {
    let now = Time::from_millis(1_000);
    let mut nonces = Nonces::new([7; 32], 0, 64);
    let mut issued = Vec::new();
    nonces.issue(now, &mut issued);
    assert_eq!(issued.len(), Nonces::TEXT_LENGTH);
    let count = octets.first().map(|&octet| u32::from(octet));
    let later = now + Duration::from_millis(octets.len() as u64);
    let verdict = nonces.check(later, octets, count);
    // Hexadecimal digits are read in either case.
    if octets.eq_ignore_ascii_case(&issued) {
        // The key and the time are fixed here, so that a fuzzer comes upon it; its count is taken then.
        return assert_eq!(verdict, NonceVerdict::Fresh);
    }
    assert_ne!(verdict, NonceVerdict::Fresh);
    // One digit changed.
    if let Some((&at, rest)) = octets.split_first() {
        let mut forged = issued.clone();
        let place = usize::from(at) % forged.len();
        forged[place] = *rest.first().unwrap_or(&b'0');
        if !forged.eq_ignore_ascii_case(&issued) {
            assert_ne!(nonces.check(later, &forged, Some(1)), NonceVerdict::Fresh);
        }
    }
    assert_eq!(nonces.check(later, &issued, Some(1)), NonceVerdict::Fresh);
    assert_ne!(
        nonces.check(later, &issued, Some(1)),
        NonceVerdict::Fresh,
        "RFC 7616 section 3.4.5: a count stands once"
    );
}
