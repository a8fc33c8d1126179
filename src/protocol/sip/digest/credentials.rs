//! The Authorization and Proxy-Authorization headers: RFC 7616 section 3.4.

use super::DigestAlgorithm;
use crate::protocol::sip::text::{hex_digit, is_lws, is_token, take_while, trim_start};

/// What a peer sent to prove who it is. Quoted values come without their quotes and with their
/// backslashes, as they enter the hash (RFC 7616 section 3.4.1, `unq`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// `username`, with backslashes; compare with [`Credentials::username_eq`].
    pub username: &'a [u8],
    /// `realm`.
    pub realm: &'a [u8],
    /// `nonce`.
    pub nonce: &'a [u8],
    /// `uri`.
    pub uri: &'a [u8],
    /// `response`: hexadecimal digits, as many as the algorithm gives.
    pub response: &'a [u8],
    /// `algorithm`; MD5 when absent.
    pub algorithm: DigestAlgorithm,
    /// `cnonce`; empty without `qop`.
    pub cnonce: &'a [u8],
    /// `nc`; `None` without `qop`.
    pub nc: Option<u32>,
    /// `nc` as written.
    pub nc_text: &'a [u8],
    /// `qop`: `auth`, or empty for RFC 2617 phones.
    pub qop: &'a [u8],
    /// `opaque`.
    pub opaque: &'a [u8],
}

/// Why credentials cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestError {
    /// Another scheme than Digest.
    Scheme,
    /// Not a list of `name=value`, or an open quote.
    Grammar,
    /// A parameter stands twice.
    Duplicate,
    /// `username`, `realm`, `nonce`, `uri` or `response` is missing, or `qop` comes without
    /// `nc` and `cnonce`, or SHA-256 without `qop`.
    Missing,
    /// An algorithm that was not offered.
    Algorithm,
    /// A quality of protection other than `auth`.
    Qop,
    /// `nc` is no hexadecimal number of up to eight digits.
    NonceCount,
    /// `response` is not as many hexadecimal digits as the algorithm gives.
    Response,
}

impl<'a> Credentials<'a> {
    /// Reads a header value.
    ///
    /// # Errors
    /// [`DigestError`].
    pub fn parse(value: &'a [u8]) -> Result<Credentials<'a>, DigestError> {
        let (scheme, rest) = take_while(trim_start(value), is_token);
        if !scheme.eq_ignore_ascii_case(b"Digest") || !rest.first().is_some_and(|&octet| is_lws(octet)) {
            return Err(DigestError::Scheme);
        }
        let mut found = Found::default();
        let mut rest = rest;
        while let Some((name, value, after)) = next_entry(rest)? {
            found.put(name, value)?;
            rest = after;
        }
        found.into_credentials()
    }

    /// Whether the user name, its quoted pairs resolved, is `name`.
    #[must_use]
    pub fn username_eq(&self, name: &[u8]) -> bool {
        let mut escaped = false;
        let mut name = name.iter();
        for octet in self.username {
            if *octet == b'\\' && !escaped {
                escaped = true;
                continue;
            }
            escaped = false;
            if name.next() != Some(octet) {
                return false;
            }
        }
        name.next().is_none()
    }
}

/// As in the `algorithm` parameter.
pub(super) const fn algorithm_text(algorithm: DigestAlgorithm) -> &'static str {
    match algorithm {
        DigestAlgorithm::Sha256 => "SHA-256",
        DigestAlgorithm::Md5 => "MD5",
    }
}

#[derive(Default)]
struct Found<'a> {
    username: Option<&'a [u8]>,
    realm: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    uri: Option<&'a [u8]>,
    response: Option<&'a [u8]>,
    algorithm: Option<&'a [u8]>,
    cnonce: Option<&'a [u8]>,
    nc: Option<&'a [u8]>,
    qop: Option<&'a [u8]>,
    opaque: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn put(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), DigestError> {
        // By length first: each known name is compared with one or two others at most.
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let place = match name.len() {
            2 if is(b"nc") => &mut self.nc,
            3 if is(b"uri") => &mut self.uri,
            3 if is(b"qop") => &mut self.qop,
            5 if is(b"nonce") => &mut self.nonce,
            5 if is(b"realm") => &mut self.realm,
            6 if is(b"cnonce") => &mut self.cnonce,
            6 if is(b"opaque") => &mut self.opaque,
            8 if is(b"username") => &mut self.username,
            8 if is(b"response") => &mut self.response,
            9 if is(b"algorithm") => &mut self.algorithm,
            _ => return Ok(()), // auth-param: anything else is allowed and means nothing
        };
        if place.replace(value).is_some() {
            return Err(DigestError::Duplicate);
        }
        Ok(())
    }

    fn into_credentials(self) -> Result<Credentials<'a>, DigestError> {
        let need = |value: Option<&'a [u8]>| value.filter(|value| !value.is_empty()).ok_or(DigestError::Missing);
        let algorithm = match self.algorithm {
            None => DigestAlgorithm::Md5,
            Some(text) if text.eq_ignore_ascii_case(b"MD5") => DigestAlgorithm::Md5,
            Some(text) if text.eq_ignore_ascii_case(b"SHA-256") => DigestAlgorithm::Sha256,
            Some(_) => return Err(DigestError::Algorithm),
        };
        let (qop, cnonce, nc_text, nc) = match self.qop {
            Some(qop) if qop.eq_ignore_ascii_case(b"auth") => {
                let nc_text = need(self.nc)?;
                (qop, need(self.cnonce)?, nc_text, Some(nonce_count(nc_text)?))
            }
            Some(_) => return Err(DigestError::Qop),
            // RFC 2617 section 3.2.2.1 has MD5 only; with SHA-256 there is always a qop.
            None if algorithm == DigestAlgorithm::Sha256 => return Err(DigestError::Missing),
            None => (&[][..], &[][..], &[][..], None),
        };
        let response = need(self.response)?;
        let length = match algorithm {
            DigestAlgorithm::Sha256 => 64,
            DigestAlgorithm::Md5 => 32,
        };
        // Without a branch for each digit: nearly all are right.
        let all_hex = response.iter().fold(true, |all, octet| all & octet.is_ascii_hexdigit());
        if response.len() != length || !all_hex {
            return Err(DigestError::Response);
        }
        Ok(Credentials {
            username: need(self.username)?,
            realm: need(self.realm)?,
            nonce: need(self.nonce)?,
            uri: need(self.uri)?,
            response,
            algorithm,
            cnonce,
            nc,
            nc_text,
            qop,
            opaque: self.opaque.unwrap_or(&[]),
        })
    }
}

/// Name, value and what comes after them.
type Entry<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// The next `name=value` or `name="value"` in one walk; `None` at the end. Empty entries between
/// commas are stepped over.
fn next_entry(line: &[u8]) -> Result<Option<Entry<'_>>, DigestError> {
    let mut line = line;
    while let [b',' | b' ' | b'\t' | b'\r' | b'\n', after @ ..] = line {
        line = after;
    }
    if line.is_empty() {
        return Ok(None);
    }
    let mut length = 0;
    while line.get(length).is_some_and(|&octet| is_token(octet)) {
        length += 1;
    }
    let (name, rest) = line.split_at_checked(length).unwrap_or((line, &[]));
    let rest = trim_start(rest).strip_prefix(b"=").ok_or(DigestError::Grammar)?;
    if name.is_empty() {
        return Err(DigestError::Grammar);
    }
    let rest = trim_start(rest);
    let (value, rest) = match rest.strip_prefix(b"\"") {
        Some(inner) => quoted(inner)?,
        None => bare(rest)?,
    };
    match trim_start(rest) {
        [] => Ok(Some((name, value, &[]))),
        [b',', after @ ..] => Ok(Some((name, value, after))),
        _ => Err(DigestError::Grammar),
    }
}

/// The text up to the closing quote, and what follows the quote.
fn quoted(inner: &[u8]) -> Result<(&[u8], &[u8]), DigestError> {
    let mut from = 0;
    loop {
        let rest = inner.get(from..).unwrap_or(&[]);
        let at = from + memchr::memchr2(b'"', b'\\', rest).ok_or(DigestError::Grammar)?;
        let (text, end) = inner.split_at(at);
        if let [b'"', after @ ..] = end {
            return Ok((text, after));
        }
        from = at + 2; // a backslash and what it escapes
    }
}

/// A value without quotes: a token, empty, or a URI of a phone that leaves the quotes off. As in
/// every list, a comma between angle brackets does not end it.
fn bare(text: &[u8]) -> Result<(&[u8], &[u8]), DigestError> {
    let mut angle = false;
    let end = text.iter().position(|&octet| {
        match octet {
            b'<' => angle = true,
            b'>' => angle = false,
            b',' => return !angle,
            _ => return octet <= b' ' || matches!(octet, b'"' | 0x7f),
        }
        false
    });
    let (value, rest) = text.split_at(end.unwrap_or(text.len()));
    if angle && !trim_start(rest).is_empty() {
        return Err(DigestError::Grammar); // white space or a quote in the brackets
    }
    Ok((value, rest))
}

fn nonce_count(text: &[u8]) -> Result<u32, DigestError> {
    if text.is_empty() || text.len() > 8 {
        return Err(DigestError::NonceCount);
    }
    text.iter()
        .try_fold(0u32, |count, &octet| Some(count << 4 | u32::from(hex_digit(octet)?)))
        .ok_or(DigestError::NonceCount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sip::list::Values;
    use crate::protocol::sip::text::trim;
    use proptest::prelude::*;

    const GOOD: &str = "Digest username=\"alice\", realm=\"r\", nonce=\"n\", uri=\"sip:r\", \
                        response=\"0123456789abcdef0123456789ABCDEF\", cnonce=\"c\", nc=0000000a, qop=auth, algorithm=md5";

    #[test]
    fn spellings_that_phones_send() {
        let credentials = Credentials::parse(GOOD.as_bytes()).expect("credentials");
        assert_eq!(
            (credentials.nc, credentials.nc_text, credentials.qop),
            (Some(10), &b"0000000a"[..], &b"auth"[..])
        );
        for (from, to) in [
            ("Digest ", " dIGEST\r\n "),
            ("qop=auth", "qop=\"auth\""),
            ("algorithm=md5", "algorithm=\"MD5\""),
            ("nc=0000000a", "nc=A"),
            (", realm", " ,, realm = "),
            ("algorithm=md5", "x=\"a, b\", y"),
            ("uri=\"sip:r\"", "uri=sip:r"),
        ] {
            let text = GOOD
                .replacen(from, to, 1)
                .replace("realm = =", "realm =")
                .replace(", y", ", y=");
            assert!(Credentials::parse(text.as_bytes()).is_ok(), "{text}");
        }
        let quoted = GOOD.replacen("alice", "a\\\"l\\\\ice", 1);
        let credentials = Credentials::parse(quoted.as_bytes()).expect("credentials");
        assert!(
            credentials.username_eq(b"a\"l\\ice")
                && !credentials.username_eq(b"alice")
                && !credentials.username_eq(b"a\"l")
        );
    }

    #[test]
    fn hostile_values() {
        for (from, to, error) in [
            ("Digest ", "Basic ", DigestError::Scheme),
            ("Digest ", "Digest", DigestError::Scheme),
            ("realm=\"r\"", "realm=\"r", DigestError::Grammar),
            ("realm=\"r\"", "realm", DigestError::Grammar),
            ("realm=\"r\"", "realm=\"r\" x", DigestError::Grammar),
            ("realm=\"r\"", "=x", DigestError::Grammar),
            ("realm=\"r\"", "realm=\"r\", REALM=\"q\"", DigestError::Duplicate),
            ("realm=\"r\", ", "", DigestError::Missing),
            ("username=\"alice\"", "username=\"\"", DigestError::Missing),
            ("username=\"alice\"", "username=", DigestError::Missing),
            ("username=\"alice\"", "username*=UTF-8''alice", DigestError::Missing),
            ("cnonce=\"c\", ", "", DigestError::Missing),
            ("nc=0000000a, ", "", DigestError::Missing),
            ("nc=0000000a", "nc=123456789", DigestError::NonceCount),
            ("nc=0000000a", "nc=xyz", DigestError::NonceCount),
            ("qop=auth", "qop=auth-int", DigestError::Qop),
            ("algorithm=md5", "algorithm=MD5-sess", DigestError::Algorithm),
            ("algorithm=md5", "algorithm=SHA-256", DigestError::Response),
            (
                "cnonce=\"c\", nc=0000000a, qop=auth, algorithm=md5",
                "algorithm=SHA-256",
                DigestError::Missing,
            ),
            ("0123456789abcdef0", "g123456789abcdef0", DigestError::Response),
            ("0123456789abcdef0", "123456789abcdef0", DigestError::Response),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_eq!(Credentials::parse(text.as_bytes()), Err(error), "{text}");
        }
        for bad in [
            "",
            "Digest",
            "Digest ",
            "Digest ,,,",
            "Digest \"",
            "Digest =",
            "Digest username",
            "Digest a=\"\\",
        ] {
            assert!(Credentials::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    type Read<'a> = Result<Vec<(&'a [u8], &'a [u8])>, DigestError>;

    /// The grammar told in two steps, split and then read, as every other list is.
    fn in_two_steps(line: &[u8]) -> Read<'_> {
        let read = |entry| {
            let (name, rest) = take_while(entry, is_token);
            let value = trim(trim_start(rest).strip_prefix(b"=").ok_or(DigestError::Grammar)?);
            let plain = |octet: &u8| *octet > b' ' && *octet != b'"' && *octet != 0x7f;
            match value {
                _ if name.is_empty() => Err(DigestError::Grammar),
                [b'"', inner @ .., b'"'] if is_quoted_text(inner) => Ok((name, inner)),
                _ if value.iter().all(plain) => Ok((name, value)),
                _ => Err(DigestError::Grammar),
            }
        };
        Values::new(line).map(read).collect()
    }

    fn is_quoted_text(inner: &[u8]) -> bool {
        let mut escaped = false;
        for &octet in inner {
            match octet {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return false,
                _ => {}
            }
        }
        !escaped
    }

    fn in_one_walk(mut line: &[u8]) -> Read<'_> {
        let mut entries = Vec::new();
        while let Some((name, value, after)) = next_entry(line)? {
            entries.push((name, value));
            line = after;
        }
        Ok(entries)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn one_walk_reads_what_two_steps_read(line in "([ab=,\"<> \\\\\t]|a=|=\"|\",|\\x7f|\r\n ){0,24}") {
            prop_assert_eq!(in_one_walk(line.as_bytes()), in_two_steps(line.as_bytes()));
        }
    }
}
