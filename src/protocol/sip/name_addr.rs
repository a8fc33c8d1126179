//! `"display" <uri>;params` and `uri;params`: RFC 3261 section 20.10.

use super::malformed::{Malformed, Reason};
use super::params::{self, Params};
use super::text::{is_lws, is_scheme, is_uri, is_word, take_while, trim, trim_end, trim_start};

/// An address of From, To, Contact, Route and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name without its quotes, backslashes kept: put quotes around it to write it.
    pub display: &'a [u8],
    /// The URI without angle brackets.
    pub uri: &'a [u8],
    /// The header parameters after the URI: empty or `;a=b;c`.
    pub params: &'a [u8],
}

impl<'a> NameAddr<'a> {
    /// Reads one value. Strict where leniency is dangerous (RFC 4475 sections 3.1.2.6, 3.1.2.13
    /// to 3.1.2.15): an open quote, a special character in an unquoted display name, white space
    /// inside the angle brackets, and a bare URI with `?` or a comma are errors.
    ///
    /// # Errors
    /// [`Reason::HeaderLine`]; `parse` gives the header's own reason for From and To.
    pub fn parse(value: &'a [u8]) -> Result<NameAddr<'a>, Malformed> {
        tagged(value)
            .map(|(address, _)| address)
            .ok_or(Malformed::new(Reason::HeaderLine))
    }

    /// A header parameter by name, any case; `Some(b"")` for a flag.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        params::param(self.params, name.as_bytes())
    }
}

/// An address and its `tag`, in one walk over the parameters.
pub(super) fn tagged(value: &[u8]) -> Option<(NameAddr<'_>, Option<&[u8]>)> {
    let raw = trim(value);
    let (display, rest) = match raw {
        [b'<', ..] => (&[][..], raw),
        [b'"', inner @ ..] => {
            let end = closing_quote(inner)?;
            (inner.get(..end)?, trim_start(inner.get(end + 1..)?))
        }
        _ => {
            let (before, rest) = take_while(raw, |octet| !matches!(octet, b'<' | b'>' | b';' | b',' | b'"' | b'\\'));
            match rest.first() {
                Some(b'<') => (trim_end(before), rest),
                None | Some(b';') => return bare(trim_end(before), rest),
                _ => return None,
            }
        }
    };
    let (uri, rest) = take_while(rest.strip_prefix(b"<")?, is_uri);
    let after = trim_start(rest.strip_prefix(b">")?);
    checked(NameAddr {
        display,
        uri,
        params: after,
    })
}

/// A URI without angle brackets: its parameters are the header's, and a comma or question mark
/// cannot be in it.
fn bare<'a>(uri: &'a [u8], params: &'a [u8]) -> Option<(NameAddr<'a>, Option<&'a [u8]>)> {
    let plain = uri
        .iter()
        .all(|&octet| is_uri(octet) && octet != b'?' && !is_lws(octet));
    if plain {
        checked(NameAddr {
            display: &[],
            uri,
            params,
        })
    } else {
        None
    }
}

/// A second tag would let two readers of one message see two dialogs.
fn checked(address: NameAddr<'_>) -> Option<(NameAddr<'_>, Option<&[u8]>)> {
    let (scheme, rest) = take_while(address.uri, is_scheme);
    if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || rest.len() < 2 || rest.first() != Some(&b':') {
        return None;
    }
    let mut tag = None;
    for param in Params::new(address.params) {
        let param = param.ok()?;
        if is_word(param.name, b"tag") && tag.replace(param.value.unwrap_or(&[])).is_some() {
            return None;
        }
    }
    Some((address, tag))
}

/// Where the quoted string that `inner` continues has its closing quote.
fn closing_quote(inner: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (index, &octet) in inner.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &str) -> Option<(String, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let address = NameAddr::parse(value.as_bytes()).ok()?;
        Some((text(address.display), text(address.uri), text(address.params)))
    }

    #[test]
    fn forms() {
        for (value, display, uri, params) in [
            ("<sip:a@b>", "", "sip:a@b", ""),
            ("sip:a@b;tag=1", "", "sip:a@b", ";tag=1"),
            ("\r\n sip:a@b ;  tag  = 1", "", "sip:a@b", ";  tag  = 1"),
            ("caller<sip:a@b>;x", "caller", "sip:a@b", ";x"),
            ("A. Bell <sip:a@b;lr?x=y>", "A. Bell", "sip:a@b;lr?x=y", ""),
            ("\"J \\\\\\\"\"  <sip:a,b@c> ; q=1", "J \\\\\\\"", "sip:a,b@c", "; q=1"),
            ("\"\" <tel:+1>", "", "tel:+1", ""),
            ("Jos\u{e9} (Sales) <sip:a@b>", "Jos\u{e9} (Sales)", "sip:a@b", ""),
        ] {
            assert_eq!(
                parts(value),
                Some((display.into(), uri.into(), params.into())),
                "{value}"
            );
        }
        let address = NameAddr::parse(b"<sip:a@b>;Tag=x;lr").expect("an address");
        assert_eq!(address.param("tag"), Some(&b"x"[..]));
        assert_eq!(address.param("lr"), Some(&b""[..]));
        assert_eq!(address.param("no"), None);
    }

    #[test]
    fn refused() {
        for bad in [
            "",
            "*",
            "\"open <sip:a@b>",
            "Bell, A <sip:a@b>",
            "\"W\" < sip:a@b >",
            "<sip:a@b",
            "<>",
            "sip:a@b?x=y",
            "<sip:a b>",
            "sip:a b",
            "<sip:a@b>x",
            "<sip:a@b>;;",
            "<sip:a@b>;tag=a b",
            "\"x\" sip:a@b",
            "nothing",
            "sip:",
            "sip:a@b,sip:c@d",
            "<sip:a@b>;tag=1;Tag=2",
            "\"x\\",
            ":x",
            "1:x",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
