//! Characters, numbers and addresses of the SIP grammar (RFC 3261 section 25).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A character of `token`.
pub(crate) const fn is_token(octet: u8) -> bool {
    CLASS[octet as usize] & TOKEN != 0
}

/// Linear white space, including the line ends of folds (a header value holds no others).
pub(crate) const fn is_lws(octet: u8) -> bool {
    CLASS[octet as usize] & LWS != 0
}

/// A character that may stand inside a URI without an escape, leniently: everything printable
/// that cannot end the URI in a header or a request line.
pub(crate) const fn is_uri(octet: u8) -> bool {
    CLASS[octet as usize] & URI != 0
}

/// A character of a host name or an IPv4 address; `_` is seen in the wild.
pub(crate) const fn is_host(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_')
}

/// Without white space on the left.
pub(crate) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_lws(*first) {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// Without white space on the right.
pub(crate) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes {
        if !is_lws(*last) {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// Without white space on both sides.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// Splits after the leading octets for which `is` holds.
pub(crate) fn take_while(bytes: &[u8], is: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&octet| !is(octet)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// A decimal number; `None` when it is empty, has another character, or does not fit.
pub(crate) fn number(digits: &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for &octet in digits {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u32::from(digit))?;
    }
    (!digits.is_empty()).then_some(value)
}

/// A decimal number, cut at the largest: for intervals, where more than 136 years are the same
/// (RFC 3261 section 20.19).
pub(crate) fn number_saturating(digits: &[u8]) -> Option<u32> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| number(digits).unwrap_or(u32::MAX))
}

/// A port, 1 to 65535.
pub(crate) fn port(digits: &[u8]) -> Option<u16> {
    // Leading zeros are legal in the grammar, but nobody needs thousands of them.
    if digits.len() > 8 {
        return None;
    }
    number(digits)
        .and_then(|value| u16::try_from(value).ok())
        .filter(|&port| port != 0)
}

/// An IP address literal, IPv6 with or without brackets. Three colons are read as two: the
/// grammar of RFC 3261 had that mistake (RFC 5118 section 4.10).
pub(crate) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if bytes.first().is_some_and(u8::is_ascii_digit)
        && let Some(v4) = ipv4(bytes)
    {
        return Some(IpAddr::V4(v4));
    }
    let inner = match bytes {
        [b'[', inner @ .., b']'] => inner,
        _ => bytes,
    };
    ipv6(inner).map(IpAddr::V6)
}

/// `%XX` at the start of `bytes`.
pub(crate) fn escaped(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
        _ => None,
    }
}

/// The value of a hexadecimal digit.
pub(crate) const fn hex_digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = bytes.split(|&octet| octet == b'.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.len() > 3 {
            return None;
        }
        *octet = u8::try_from(number(part)?).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

fn ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    if bytes.len() > LONGEST_IPV6 || !bytes.contains(&b':') {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (left, right) = text.split_once(":::")?;
    let mut buffer = [0u8; LONGEST_IPV6];
    let mut length = 0;
    for part in [left, "::", right] {
        buffer
            .get_mut(length..length + part.len())?
            .copy_from_slice(part.as_bytes());
        length += part.len();
    }
    std::str::from_utf8(buffer.get(..length)?).ok()?.parse().ok()
}

/// Octets of the longest IPv6 text form, with an IPv4 tail and one colon too many.
const LONGEST_IPV6: usize = 46;

const TOKEN: u8 = 1;
const LWS: u8 = 2;
const URI: u8 = 4;

const CLASS: [u8; 256] = {
    let mut class = [0u8; 256];
    let mut octet = 0usize;
    while octet < 256 {
        let character = octet as u8;
        if character.is_ascii_alphanumeric()
            || matches!(
                character,
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
            )
        {
            class[octet] |= TOKEN;
        }
        if matches!(character, b' ' | b'\t' | b'\r' | b'\n') {
            class[octet] |= LWS;
        }
        if character > b' ' && character != 0x7f && !matches!(character, b'<' | b'>' | b'"' | b'\\') {
            class[octet] |= URI;
        }
        octet += 1;
    }
    class
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_overflow() {
        assert_eq!(number(b"0068"), Some(68));
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        for bad in [&b""[..], b"4294967296", b"-1", b"1 ", b"99999999999999999999"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
        assert_eq!(number_saturating(b"99999999999999999999"), Some(u32::MAX));
        assert_eq!(number_saturating(b"9x"), None);
        assert_eq!(port(b"0"), None);
        assert_eq!(port(b"65536"), None);
        assert_eq!(port(b"05060"), Some(5060));
    }

    #[test]
    fn addresses_with_and_without_brackets() {
        assert_eq!(ip(b"192.0.2.1"), "192.0.2.1".parse().ok());
        assert_eq!(ip(b"[2001:db8::9:1]"), "2001:db8::9:1".parse().ok());
        assert_eq!(ip(b"2001:db8::9:1"), "2001:db8::9:1".parse().ok());
        assert_eq!(ip(b"2001:db8:::192.0.2.1"), "2001:db8::192.0.2.1".parse().ok());
        for bad in [
            &b"256.1.1.1"[..],
            b"1.2.3",
            b"1.2.3.4.5",
            b"example.com",
            b"::::",
            b"[]",
            b"",
        ] {
            assert_eq!(ip(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped(b"%41z"), Some(b'A'));
        assert_eq!(escaped(b"%4"), None);
        assert_eq!(escaped(b"%zz"), None);
    }
}
