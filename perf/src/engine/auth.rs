//! Answers to challenges: RFC 3261 section 22, RFC 7616, RFC 8760.

use super::message;
use ringfort::protocol::sip::digest::{Credentials, DigestAlgorithm, Ha1, ha2, response, verify};

/// The value of a challenge's parameter, unquoted.
fn parameter<'a>(challenge: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = challenge;
    loop {
        rest = rest.trim_ascii_start();
        let equal = memchr::memchr(b'=', rest)?;
        let known = rest[..equal].trim_ascii();
        // The scheme stands before the first name.
        let known = known
            .rsplit(|octet| octet.is_ascii_whitespace())
            .next()
            .unwrap_or(known);
        let after = rest.get(equal + 1..)?.trim_ascii_start();
        let (value, left) = match after.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = memchr::memchr(b'"', quoted).unwrap_or(quoted.len());
                (&quoted[..end], quoted.get(end + 1..).unwrap_or_default())
            }
            None => {
                let end = memchr::memchr(b',', after).unwrap_or(after.len());
                (after[..end].trim_ascii_end(), after.get(end..).unwrap_or_default())
            }
        };
        if known.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = left.trim_ascii_start().strip_prefix(b",")?;
    }
}

/// The best challenge of a 401 or 407, with its header's name before it: SHA-256 before MD5 (RFC 8760
/// section 2.4 says the topmost that is known; servers list the strongest first).
pub(super) fn challenge_of(octets: &[u8]) -> Option<Vec<u8>> {
    message::headers(octets).find_map(|(name, value)| {
        let answer: &[u8] = if name.eq_ignore_ascii_case(b"www-authenticate") {
            b"Authorization"
        } else if name.eq_ignore_ascii_case(b"proxy-authenticate") {
            b"Proxy-Authorization"
        } else {
            return None;
        };
        algorithm(value)?;
        Some([answer, b"\n", value].concat())
    })
}

fn algorithm(challenge: &[u8]) -> Option<DigestAlgorithm> {
    if !challenge.get(..7)?.eq_ignore_ascii_case(b"digest ") {
        return None;
    }
    match parameter(challenge, b"algorithm") {
        None => Some(DigestAlgorithm::Md5),
        Some(name) if name.eq_ignore_ascii_case(b"md5") => Some(DigestAlgorithm::Md5),
        Some(name) if name.eq_ignore_ascii_case(b"sha-256") => Some(DigestAlgorithm::Sha256),
        Some(_) => None,
    }
}

/// The header line, without its end, that answers `kept` (from [`challenge_of`]) for this request.
pub(super) fn answer(kept: &[u8], request: &[u8], user: &[u8], password: &[u8], count: u32, salt: u64) -> Vec<u8> {
    let Some(end) = memchr::memchr(b'\n', kept) else {
        return Vec::new();
    };
    let (header, challenge) = (&kept[..end], &kept[end + 1..]);
    let Some(alg) = algorithm(challenge) else {
        return Vec::new();
    };
    let mut words = request.split(|&octet| octet == b' ');
    let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (realm, nonce) = (
        parameter(challenge, b"realm").unwrap_or_default(),
        parameter(challenge, b"nonce").unwrap_or_default(),
    );
    let has_qop = parameter(challenge, b"qop").is_some_and(|qop| {
        qop.split(|&octet| octet == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"auth"))
    });
    let (nc, cnonce) = (format!("{count:08x}"), format!("{salt:08x}{count:04x}"));
    let credentials = Credentials {
        username: user,
        realm,
        nonce,
        uri,
        response: b"",
        algorithm: alg,
        cnonce: if has_qop { cnonce.as_bytes() } else { b"" },
        nc: has_qop.then_some(count),
        nc_text: if has_qop { nc.as_bytes() } else { b"" },
        qop: if has_qop { b"auth" } else { b"" },
        opaque: b"",
    };
    let ha1 = Ha1::new(alg, user, realm, password);
    let proof = response(alg, &ha1, &credentials, &ha2(alg, method, uri));
    let mut line = Vec::with_capacity(320);
    for piece in [
        header,
        b": Digest username=\"",
        user,
        b"\",realm=\"",
        realm,
        b"\",uri=\"",
        uri,
        b"\",nonce=\"",
        nonce,
        b"\",response=\"",
        proof.as_bytes(),
        b"\",algorithm=",
        if alg == DigestAlgorithm::Md5 {
            b"MD5"
        } else {
            b"SHA-256"
        },
    ] {
        line.extend_from_slice(piece);
    }
    if has_qop {
        line.extend_from_slice(format!(",qop=auth,cnonce=\"{cnonce}\",nc={nc}").as_bytes());
    }
    if let Some(opaque) = parameter(challenge, b"opaque") {
        line.extend_from_slice(b",opaque=\"");
        line.extend_from_slice(opaque);
        line.push(b'"');
    }
    line
}

/// Whether a request's credentials prove that this user has this password.
pub(super) fn is_proved(request: &[u8], user: &[u8], password: &[u8]) -> bool {
    let method = request.split(|&octet| octet == b' ').next().unwrap_or_default();
    message::headers(request)
        .filter(|(name, _)| {
            name.eq_ignore_ascii_case(b"authorization") || name.eq_ignore_ascii_case(b"proxy-authorization")
        })
        .filter_map(|(_, value)| Credentials::parse(value).ok())
        .any(|credentials| {
            let alg = credentials.algorithm;
            let ha1 = Ha1::new(alg, user, credentials.realm, password);
            credentials.username_eq(user) && verify(alg, &ha1, &credentials, &ha2(alg, method, credentials.uri))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_proved() {
        for challenge in [
            "WWW-Authenticate: Digest realm=\"a, b\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"",
            "Proxy-Authenticate: Digest realm=\"r\",nonce=\"n=2\"",
            "WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Digest algorithm=MD5,realm=r,nonce=\"3\",opaque=\"o\",qop=\"auth-int,auth\"",
        ] {
            let kept = challenge_of(format!("SIP/2.0 401 x\r\n{challenge}\r\n\r\n").as_bytes()).expect("a challenge");
            let line = answer(&kept, b"REGISTER sip:h SIP/2.0\r\n", b"alice", b"secret", 1, 77);
            let request = [b"REGISTER sip:h SIP/2.0\r\n", &line[..], b"\r\n\r\n"].concat();
            assert!(
                is_proved(&request, b"alice", b"secret"),
                "{}",
                String::from_utf8_lossy(&request)
            );
            assert!(!is_proved(&request, b"alice", b"wrong") && !is_proved(&request, b"bob", b"secret"));
        }
        assert_eq!(
            challenge_of(b"SIP/2.0 401 x\r\nWWW-Authenticate: Digest realm=\"r\", algorithm=X\r\n\r\n"),
            None
        );
    }
}
