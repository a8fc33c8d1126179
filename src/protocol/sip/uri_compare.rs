//! When two URIs mean the same: RFC 3261 section 19.1.4, RFC 3966 section 4.

use super::params;
use super::text::{ip, take_while};
use super::uri::{Canonical, Scheme, Uri, is_visual_separator};

impl Uri<'_> {
    /// Whether two URIs are equivalent. Note that this is no equivalence in the mathematical
    /// sense: a parameter that only one of them has is often ignored (section 19.1.4).
    #[must_use]
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        match self.scheme {
            Scheme::Sip | Scheme::Sips => self.equivalent_sip(other),
            Scheme::Tel => {
                same_number(self.user, other.user)
                    && params_match(self.params, other.params, |_| true)
                    && params_match(other.params, self.params, |_| true)
            }
            // Opaque: only the same text is surely the same.
            Scheme::Other => self.host == other.host,
        }
    }

    fn equivalent_sip(&self, other: &Uri<'_>) -> bool {
        same_text(self.user, other.user)
            && same_text(self.password, other.password)
            && same_host(self.host, other.host)
            && self.port == other.port
            && params_match(self.params, other.params, must_be_in_both)
            && params_match(other.params, self.params, must_be_in_both)
            && headers_match(self.headers, other.headers)
            && headers_match(other.headers, self.headers)
    }
}

/// Parameters that never match when only one URI has them. `transport` is one by the RFC's
/// examples.
fn must_be_in_both(name: &[u8]) -> bool {
    [&b"user"[..], b"ttl", b"method", b"maddr", b"transport"]
        .iter()
        .any(|known| same_text_any_case(name, known))
}

/// Each of `left`'s parameters is in `right` with the same value, or may be missing there.
fn params_match(left: &[u8], right: &[u8], required: impl Fn(&[u8]) -> bool) -> bool {
    params::params(left).all(|(name, value)| {
        let twin = params::params(right).find(|(other, _)| same_text_any_case(name, other));
        match twin {
            Some((_, other)) => same_text_any_case(value.unwrap_or(&[]), other.unwrap_or(&[])),
            None => !required(name),
        }
    })
}

/// Each of `left`'s headers is in `right` with the same value. Header names ignore case; values
/// are compared as text, the strictest reading of section 20.
fn headers_match(left: &[u8], right: &[u8]) -> bool {
    header_fields(left).all(|(name, value)| {
        header_fields(right).any(|(other, twin)| same_text_any_case(name, other) && same_text(value, twin))
    })
}

fn header_fields(headers: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .split(|&octet| octet == b'&')
        .filter(|field| !field.is_empty())
        .map(|field| {
            let (name, value) = take_while(field, |octet| octet != b'=');
            (name, value.get(1..).unwrap_or(&[]))
        })
}

/// Case counts; an escaped unreserved character is that character.
fn same_text(left: &[u8], right: &[u8]) -> bool {
    left == right || Canonical::new(left).eq(Canonical::new(right))
}

fn same_text_any_case(left: &[u8], right: &[u8]) -> bool {
    let lower = |text| Canonical::new(text).map(|octet| octet.to_ascii_lowercase());
    lower(left).eq(lower(right))
}

fn same_host(left: &[u8], right: &[u8]) -> bool {
    left.eq_ignore_ascii_case(right) || ip(left).is_some_and(|address| ip(right) == Some(address))
}

fn same_number(left: &[u8], right: &[u8]) -> bool {
    digits(left).eq(digits(right))
}

fn digits(number: &[u8]) -> impl Iterator<Item = u8> {
    number
        .iter()
        .filter(|octet| !is_visual_separator(**octet))
        .map(u8::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equivalent(left: &str, right: &str) -> bool {
        let left = Uri::parse(left.as_bytes()).expect("a URI");
        let right = Uri::parse(right.as_bytes()).expect("a URI");
        assert_eq!(
            left.equivalent(&right),
            right.equivalent(&left),
            "the comparison is symmetric"
        );
        left.equivalent(&right)
    }

    /// The examples of RFC 3261 section 19.1.4 and some of our own.
    #[test]
    fn equivalent_pairs() {
        for (left, right) in [
            (
                "sip:%61lice@atlanta.com;transport=TCP",
                "sip:alice@AtLanTa.CoM;Transport=tcp",
            ),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a@[2001:db8:0::1]", "sip:a@[2001:DB8::1]"),
            ("tel:+1-201-555-0123", "tel:+1(201)5550123"),
            ("tel:123;phone-context=A", "tel:123;phone-context=a"),
            ("urn:x:y", "urn:x:y"),
        ] {
            assert!(equivalent(left, right), "{left} {right}");
        }
    }

    #[test]
    fn different_pairs() {
        for (left, right) in [
            (
                "SIP:ALICE@AtLanTa.CoM;Transport=udp",
                "sip:alice@AtLanTa.CoM;Transport=UDP",
            ),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            (
                "sip:carol@chicago.com;security=on",
                "sip:carol@chicago.com;security=off",
            ),
            ("sip:a@b", "sips:a@b"),
            ("sip:a@b", "sip:b"),
            ("sip:a@b", "sip:a:pw@b"),
            ("sip:a%3Bb@c", "sip:a;b@c"),
            ("sip:a@b;maddr=x", "sip:a@b"),
            ("sip:a@b;user=phone", "sip:a@b"),
            ("sip:a@b;ttl=1", "sip:a@b"),
            ("sip:a@b;method=INVITE", "sip:a@b"),
            ("tel:123;phone-context=a", "tel:123"),
            ("tel:123", "tel:124"),
            ("urn:x:y", "urn:x:z"),
        ] {
            assert!(!equivalent(left, right), "{left} {right}");
        }
    }
}
