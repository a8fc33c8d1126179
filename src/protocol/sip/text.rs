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

/// A character that may stand in one part of a URI, on either side of `@`.
pub(crate) const fn is_uri_part(octet: u8) -> bool {
    CLASS[octet as usize] & URI_PART != 0
}

/// A character of a host name or an IPv4 address; `_` is seen in the wild.
pub(crate) const fn is_host(octet: u8) -> bool {
    CLASS[octet as usize] & HOST != 0
}

/// A character of a URI's scheme.
pub(crate) const fn is_scheme(octet: u8) -> bool {
    CLASS[octet as usize] & SCHEME != 0
}

/// A character of a parameter's name, leniently: `token` and what SIP URIs allow unescaped.
pub(crate) const fn is_param_name(octet: u8) -> bool {
    CLASS[octet as usize] & PARAM_NAME != 0
}

/// A character of a parameter's value that stands outside quotes and ends nothing.
pub(crate) const fn is_plain(octet: u8) -> bool {
    CLASS[octet as usize] & PLAIN != 0
}

/// The first CR, LF or NUL at `from` or behind it. Header lines are short: sixteen octets at a time,
/// in place, beat the set-up of a vector search.
pub(crate) fn line_break(bytes: &[u8], from: usize) -> Option<usize> {
    let ends = |octet: &u8| matches!(octet, b'\r' | b'\n' | 0);
    let rest = bytes.get(from..)?;
    let (chunks, tail) = rest.as_chunks::<16>();
    let mut at = from;
    for chunk in chunks {
        let control = chunk.iter().fold(false, |any, &octet| any | (octet < b' '));
        if control && let Some(index) = chunk.iter().position(ends) {
            return Some(at + index);
        }
        at += 16;
    }
    tail.iter().position(ends).map(|index| at + index)
}

/// Whether `text` is `word` in any case. `word` is a constant, and mostly spelled like this.
#[inline(always)]
pub(crate) fn is_word<const N: usize>(text: &[u8], word: &'static [u8; N]) -> bool {
    text == word || (text.len() == N && text.eq_ignore_ascii_case(word))
}

/// How many octets at the start are plain ones of a parameter's value, see [`is_plain`].
pub(crate) fn plain(bytes: &[u8]) -> usize {
    let inside = |octet: u8| {
        (octet > b' ') & (octet != b';') & (octet != b',') & (octet != b'<') & (octet != b'>') & (octet != b'"')
    };
    run(bytes, inside, is_plain)
}

/// The length of a run. `quick` must imply `is`; it is made of comparisons alone, so that the
/// compiler looks at sixteen octets at once.
#[inline(always)]
fn run(bytes: &[u8], quick: impl Fn(u8) -> bool, is: impl Fn(u8) -> bool) -> usize {
    let (chunks, _) = bytes.as_chunks::<16>();
    let whole = |chunk: &&[u8; 16]| chunk.iter().fold(true, |all, &octet| all & quick(octet));
    let sure = 16 * chunks.iter().take_while(whole).count();
    let rest = bytes.get(sure..).unwrap_or(&[]);
    sure + rest.iter().position(|&octet| !is(octet)).unwrap_or(rest.len())
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
    let (mut address, mut part, mut digits, mut dots) = (0u32, 0u32, 0, 0);
    for &octet in bytes {
        if octet == b'.' {
            if digits == 0 || dots == 3 {
                return None;
            }
            address = address << 8 | part;
            (part, digits, dots) = (0, 0, dots + 1);
            continue;
        }
        let digit = octet.wrapping_sub(b'0');
        part = part * 10 + u32::from(digit);
        digits += 1;
        if digit > 9 || digits > 3 || part > 255 {
            return None;
        }
    }
    (digits > 0 && dots == 3).then(|| Ipv4Addr::from(address << 8 | part))
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
const HOST: u8 = 8;
const SCHEME: u8 = 16;
const PARAM_NAME: u8 = 32;
const PLAIN: u8 = 64;
const URI_PART: u8 = 128;

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
            class[octet] |= TOKEN | PARAM_NAME;
        }
        if matches!(character, b'[' | b']' | b'/' | b':' | b'&' | b'$' | b'(' | b')') {
            class[octet] |= PARAM_NAME;
        }
        if character.is_ascii_alphanumeric() || matches!(character, b'-' | b'.' | b'_') {
            class[octet] |= HOST;
        }
        if character.is_ascii_alphanumeric() || matches!(character, b'-' | b'.' | b'+') {
            class[octet] |= SCHEME;
        }
        if !matches!(
            character,
            b' ' | b'\t' | b'\r' | b'\n' | b'"' | b',' | b'<' | b'>' | b';'
        ) {
            class[octet] |= PLAIN;
        }
        if matches!(character, b' ' | b'\t' | b'\r' | b'\n') {
            class[octet] |= LWS;
        }
        if character > b' ' && character != 0x7f && !matches!(character, b'<' | b'>' | b'"' | b'\\') {
            class[octet] |= if character == b'@' { URI } else { URI | URI_PART };
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
            b"1.2.3.",
            b"1..2.3",
            b"1.2.3.1000",
            b"1.2.3.0001",
            b"1.2.3.4294967297",
            b"1.2.3.-4",
        ] {
            assert_eq!(ip(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn line_breaks_are_found_wherever_they_stand() {
        for length in 0..40 {
            for at in 0..length {
                for end in [b'\r', b'\n', 0] {
                    let mut text = vec![b'x'; length];
                    // Neither a tab, another control nor an octet beyond ASCII ends a line.
                    text.iter_mut().take(at).step_by(3).for_each(|octet| *octet = b'\t');
                    text.iter_mut()
                        .take(at)
                        .skip(1)
                        .step_by(3)
                        .for_each(|octet| *octet = 0xff);
                    text.iter_mut()
                        .take(at)
                        .skip(2)
                        .step_by(3)
                        .for_each(|octet| *octet = 0x1f);
                    text[at] = end;
                    for from in 0..=length + 1 {
                        assert_eq!(line_break(&text, from), (from <= at).then_some(at));
                    }
                }
            }
        }
    }

    #[test]
    fn runs_end_at_the_first_other_octet() {
        for length in 0..40 {
            for at in 0..length {
                for octet in 0..=255 {
                    let mut text = vec![b'x'; length];
                    text[at] = octet;
                    let end = |is: fn(u8) -> bool| if is(octet) { length } else { at };
                    assert_eq!(plain(&text), end(is_plain), "{octet}");
                }
            }
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped(b"%41z"), Some(b'A'));
        assert_eq!(escaped(b"%4"), None);
        assert_eq!(escaped(b"%zz"), None);
    }
}
