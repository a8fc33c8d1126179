//! SIP, SIPS and TEL URIs: RFC 3261 section 19.1, RFC 3966. Other schemes stay opaque.

use super::digest::hex_pair;
use super::params;
use super::text::{escaped, ip, is_host, is_scheme, is_uri, is_uri_part, port, take_while};
use std::net::IpAddr;

/// Scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Anything else.
    Other,
}

/// A URI, as slices of its text. Nothing is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The scheme.
    pub scheme: Scheme,
    /// The user part; of a tel URI the number with its separators; empty when absent.
    pub user: &'a [u8],
    /// The password, which nobody should send.
    pub password: &'a [u8],
    /// Name or address, brackets kept around IPv6; empty in tel URIs. Of another scheme,
    /// everything after the colon.
    pub host: &'a [u8],
    /// The port.
    pub port: Option<u16>,
    /// Empty or `;a=b;c`.
    pub params: &'a [u8],
    /// Headers without the question mark.
    pub headers: &'a [u8],
}

/// Why a URI cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    /// No scheme, or a character that no scheme has.
    Scheme,
    /// A character that no URI has.
    Character,
    /// An empty user part, or a second `@`.
    User,
    /// No host, or a host that is neither a name nor an address.
    Host,
    /// A port that is no number from 1 to 65535.
    Port,
    /// A parameter that is empty or has no name.
    Parameter,
}

impl<'a> Uri<'a> {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`UriError`]; what it names is not there or not usable.
    pub fn parse(text: &'a [u8]) -> Result<Uri<'a>, UriError> {
        if let [b's', b'i', b'p', b':', rest @ ..] = text {
            return sip(Scheme::Sip, rest);
        }
        let (scheme, rest) = take_while(text, is_scheme);
        let Some((b':', rest)) = rest.split_first() else {
            return Err(UriError::Scheme);
        };
        if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || rest.is_empty() {
            return Err(UriError::Scheme);
        }
        match scheme {
            s if s.eq_ignore_ascii_case(b"sip") => sip(Scheme::Sip, rest),
            s if s.eq_ignore_ascii_case(b"sips") => sip(Scheme::Sips, rest),
            _ if !rest.iter().all(|&octet| is_uri(octet)) => Err(UriError::Character),
            s if s.eq_ignore_ascii_case(b"tel") => tel(rest),
            _ => Ok(Uri {
                host: rest,
                ..Uri::empty(Scheme::Other)
            }),
        }
    }

    /// A parameter by name, any case; `Some(b"")` for a flag.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        params::param(self.params, name.as_bytes())
    }

    /// The host as an address, when it is one.
    #[must_use]
    pub fn host_ip(&self) -> Option<IpAddr> {
        ip(self.host)
    }

    /// Appends the user part with each escape decoded once (RFC 4475 sections 3.1.1.3 and
    /// 3.1.1.4: never twice, and `%00` gives a NUL octet). A `%` that begins no escape stays.
    pub fn write_user_decoded(&self, out: &mut Vec<u8>) {
        let mut rest = self.user;
        while let Some((&first, after)) = rest.split_first() {
            match escaped(rest) {
                Some(octet) => {
                    out.push(octet);
                    rest = rest.get(3..).unwrap_or(&[]);
                }
                None => {
                    out.push(first);
                    rest = after;
                }
            }
        }
    }

    /// Appends a decoded user part as a URI shows it: what RFC 3261 section 25.1 does not allow
    /// there is escaped, so that no decoded octet ends the user part, the URI or the line.
    pub fn write_user_escaped(out: &mut Vec<u8>, user: &[u8]) {
        for &octet in user {
            if octet.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&octet) {
                out.push(octet);
            } else {
                let [high, low] = hex_pair(octet).map(|digit| digit.to_ascii_uppercase());
                out.extend_from_slice(&[b'%', high, low]);
            }
        }
    }

    /// Appends the address of record in one spelling: `user@host`, or `host` without a user, or
    /// a tel URI's number without separators. Escapes of unreserved characters are decoded; all
    /// others stay, in upper case, because decoding them would change the meaning
    /// (RFC 3261 sections 10.3 step 5 and 19.1.4). The host is in lower case; password, port,
    /// parameters and headers are left out. Scheme `sips` is not told from `sip`.
    pub fn write_aor(&self, out: &mut Vec<u8>) {
        if self.scheme == Scheme::Tel {
            write_number_stripped(out, self.user);
            return;
        }
        if !self.user.is_empty() {
            out.extend(Canonical::new(self.user));
            out.push(b'@');
        }
        out.extend(self.host.iter().map(u8::to_ascii_lowercase));
    }

    const fn empty(scheme: Scheme) -> Uri<'a> {
        Uri {
            scheme,
            user: &[],
            password: &[],
            host: &[],
            port: None,
            params: &[],
            headers: &[],
        }
    }
}

/// Appends a telephone number without its visual separators (RFC 3966 section 5.1.1).
pub fn write_number_stripped(out: &mut Vec<u8>, number: &[u8]) {
    out.extend(number.iter().filter(|octet| !is_visual_separator(**octet)));
}

/// `-`, `.`, `(` and `)`.
pub(super) const fn is_visual_separator(octet: u8) -> bool {
    matches!(octet, b'-' | b'.' | b'(' | b')')
}

/// URI text with the escapes of unreserved characters decoded and all others in upper case.
#[derive(Clone)]
pub(super) struct Canonical<'a> {
    rest: &'a [u8],
    /// Digits still to come of an escape that stays.
    digits: u8,
    /// Octets behind a `%` that begins no escape: one that is decoded here would make it one.
    guarded: u8,
}

impl<'a> Canonical<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Canonical {
            rest: text,
            digits: 0,
            guarded: 0,
        }
    }
}

impl Iterator for Canonical<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&first, after) = self.rest.split_first()?;
        if self.digits > 0 {
            self.digits -= 1;
            self.rest = after;
            return Some(first.to_ascii_uppercase());
        }
        match escaped(self.rest) {
            Some(octet) if is_unreserved(octet) && self.guarded == 0 => {
                self.rest = self.rest.get(3..).unwrap_or(&[]);
                return Some(octet);
            }
            Some(_) => (self.digits, self.guarded) = (2, 0),
            None if first == b'%' => self.guarded = 2,
            None => self.guarded = self.guarded.saturating_sub(1),
        }
        self.rest = after;
        Some(first)
    }
}

const fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
}

fn sip(scheme: Scheme, rest: &[u8]) -> Result<Uri<'_>, UriError> {
    if rest.is_empty() {
        return Err(UriError::Scheme);
    }
    let mut uri = Uri::empty(scheme);
    let (userinfo, mut host_part) = take_while(rest, is_uri_part);
    match host_part.split_first() {
        None => host_part = rest,
        // `@` must be escaped everywhere else, so that there is one at most; the user part may hold
        // `;`, `?` and `/` (RFC 4475 section 3.1.1.9).
        Some((b'@', after)) => {
            let (user, password) = take_while(userinfo, |octet| octet != b':');
            if !after.iter().all(|&octet| is_uri_part(octet)) || user.is_empty() {
                let readable = after.iter().all(|&octet| is_uri(octet));
                return Err(if readable { UriError::User } else { UriError::Character });
            }
            host_part = after;
            uri.user = user;
            uri.password = password.get(1..).unwrap_or(&[]);
        }
        Some(_) => return Err(UriError::Character),
    }
    let (host, rest) = host(host_part)?;
    uri.host = host;
    let rest = match rest {
        [b':', rest @ ..] => {
            let (digits, rest) = take_while(rest, |octet| octet.is_ascii_digit());
            uri.port = Some(port(digits).ok_or(UriError::Port)?);
            rest
        }
        _ => rest,
    };
    let (params, headers) = take_while(rest, |octet| octet != b'?');
    match params.first() {
        None | Some(b';') => {}
        // What follows a port that has more than digits, or a host with a strange character.
        Some(_) if uri.port.is_some() => return Err(UriError::Port),
        Some(_) => return Err(UriError::Host),
    }
    if !params::Params::new(params).all(|param| param.is_ok()) {
        return Err(UriError::Parameter);
    }
    uri.params = params;
    uri.headers = headers.get(1..).unwrap_or(&[]);
    Ok(uri)
}

fn host(bytes: &[u8]) -> Result<(&[u8], &[u8]), UriError> {
    let (host, rest) = if bytes.first() == Some(&b'[') {
        let end = memchr::memchr(b']', bytes).ok_or(UriError::Host)?;
        let (host, rest) = bytes.split_at_checked(end + 1).ok_or(UriError::Host)?;
        ip(host).ok_or(UriError::Host)?;
        (host, rest)
    } else {
        take_while(bytes, is_host)
    };
    if host.is_empty() {
        Err(UriError::Host)
    } else {
        Ok((host, rest))
    }
}

/// `tel:number;params`.
fn tel(rest: &[u8]) -> Result<Uri<'_>, UriError> {
    let (number, params) = take_while(rest, |octet| octet != b';');
    let plausible = |octet: u8| {
        octet.is_ascii_hexdigit() || matches!(octet, b'+' | b'*' | b'#' | b'%') || is_visual_separator(octet)
    };
    if number.is_empty() || !number.iter().all(|&octet| plausible(octet)) {
        return Err(UriError::User);
    }
    if !params::Params::new(params).all(|param| param.is_ok()) {
        return Err(UriError::Parameter);
    }
    Ok(Uri {
        user: number,
        params,
        ..Uri::empty(Scheme::Tel)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aor(text: &str) -> String {
        let mut out = Vec::new();
        Uri::parse(text.as_bytes()).expect(text).write_aor(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn all_parts() {
        let uri = Uri::parse(b"SIPS:alice;x=1?y:pw@[2001:db8::1]:5061;transport=tcp;lr?to=a&b=c").expect("a URI");
        assert_eq!(uri.scheme, Scheme::Sips);
        assert_eq!(
            (uri.user, uri.password, uri.host),
            (&b"alice;x=1?y"[..], &b"pw"[..], &b"[2001:db8::1]"[..])
        );
        assert_eq!((uri.port, uri.headers), (Some(5061), &b"to=a&b=c"[..]));
        assert_eq!(
            (uri.param("Transport"), uri.param("lr"), uri.param("x")),
            (Some(&b"tcp"[..]), Some(&b""[..]), None)
        );
        assert_eq!(uri.host_ip(), "2001:db8::1".parse().ok());
        let uri = Uri::parse(b"tel:+1-201-555-0123;phone-context=x").expect("a URI");
        assert_eq!(
            (uri.scheme, uri.user, uri.host),
            (Scheme::Tel, &b"+1-201-555-0123"[..], &b""[..])
        );
        assert_eq!(
            Uri::parse(b"urn:service:sos").map(|uri| (uri.scheme, uri.host)),
            Ok((Scheme::Other, &b"service:sos"[..]))
        );
    }

    #[test]
    fn refused() {
        for (text, error) in [
            ("", UriError::Scheme),
            ("alice", UriError::Scheme),
            ("sip:", UriError::Scheme),
            ("1sip:x", UriError::Scheme),
            ("sip:a b@c", UriError::Character),
            ("sip:a@b<", UriError::Character),
            ("sip:@b", UriError::User),
            ("sip::pw@b", UriError::User),
            ("sip:a@b@c", UriError::User),
            ("sip:a@", UriError::Host),
            ("sip:a@[::1", UriError::Host),
            ("sip:a@[x]", UriError::Host),
            ("sip:a@b/c", UriError::Host),
            ("sip:a@b:", UriError::Port),
            ("sip:a@b:0", UriError::Port),
            ("sip:a@b:65536", UriError::Port),
            ("sip:a@b:5060x", UriError::Port),
            ("sip:2001:db8::10", UriError::Port),
            ("sip:a@b:00000000000000005060", UriError::Port),
            ("sip:a@b;;", UriError::Parameter),
            ("tel:bob", UriError::User),
            ("tel:;x", UriError::User),
        ] {
            assert_eq!(Uri::parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    #[test]
    fn addresses_of_record_have_one_spelling() {
        assert_eq!(aor("sip:%61lice:pw@Campus.EXAMPLE:5060;x?y=z"), "alice@campus.example");
        assert_eq!(aor("sips:a%2fb%3b%00@h"), "a%2Fb%3B%00@h");
        assert_eq!(aor("sip:%2541@h"), "%2541@h");
        assert_eq!(aor("sip:a%zz%4@h"), "a%zz%4@h");
        assert_eq!(aor("sip:Campus.example"), "campus.example");
        assert_eq!(aor("tel:+1-(201).555;x"), "+1201555");
        assert_eq!(aor("sip:a@[2001:DB8::1]:5060"), "a@[2001:db8::1]");
    }

    /// Escapes are decoded once (RFC 3261 section 10.3 step 5): what comes of it is no escape.
    #[test]
    fn a_broken_escape_is_not_completed() {
        for (text, want) in [
            ("sip:%2%41@h", "%2%41@h"),
            ("sip:%%34%31@h", "%%341@h"),
            ("sip:%2x%41@h", "%2xA@h"),
        ] {
            assert_eq!(aor(text), want);
            assert_eq!(aor(&format!("sip:{want}")), want);
        }
    }

    #[test]
    fn users_are_decoded_once() {
        let mut out = Vec::new();
        Uri::parse(b"sip:%2541%00%zz%4@h")
            .expect("a URI")
            .write_user_decoded(&mut out);
        assert_eq!(out, b"%41\0%zz%4");
    }
}
