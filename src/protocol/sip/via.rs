//! The Via header: RFC 3261 section 20.42, RFC 3581.

use super::malformed::{Malformed, Reason};
use super::params::Params;
use super::text::{ip, is_host, is_lws, is_token, is_word, number, port, take_while, trim, trim_start};
use std::net::{IpAddr, SocketAddr};

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, ... as written.
    pub transport: &'a [u8],
    /// The host of sent-by; brackets kept around IPv6.
    pub host: &'a [u8],
    /// The port of sent-by.
    pub port: Option<u16>,
    /// `branch`, never empty.
    pub branch: Option<&'a [u8]>,
    /// `rport`: absent, a flag, or a port.
    pub rport: Option<Option<u16>>,
    /// `received`.
    pub received: Option<IpAddr>,
    /// `maddr`.
    pub maddr: Option<&'a [u8]>,
    /// The whole value, trimmed.
    pub raw: &'a [u8],
}

impl<'a> Via<'a> {
    /// Reads one value.
    ///
    /// # Errors
    /// [`Reason::Via`] when the value does not follow the grammar, has empty parameters
    /// (RFC 4475 section 3.1.2.1) or a port, `rport` or `received` that is none.
    pub fn parse(value: &'a [u8]) -> Result<Via<'a>, Malformed> {
        parse(value).ok_or(Malformed::new(Reason::Via))
    }

    /// Where a response for this Via goes: `maddr`, then `received` with `rport`, then sent-by
    /// when it is an address (RFC 3261 section 18.2.2, RFC 3581 section 4). `None` when a name
    /// would have to be looked up.
    #[must_use]
    pub fn reply_to(&self) -> Option<SocketAddr> {
        let default = if self.transport.eq_ignore_ascii_case(b"TLS") || self.transport.eq_ignore_ascii_case(b"WSS") {
            5061
        } else {
            5060
        };
        let sent_by_port = self.port.unwrap_or(default);
        if let Some(maddr) = self.maddr {
            return Some(SocketAddr::new(ip(maddr)?, sent_by_port));
        }
        let address = self.received.or_else(|| ip(self.host))?;
        let port = self.rport.flatten().unwrap_or(sent_by_port);
        Some(SocketAddr::new(address, port))
    }

    /// The value up to the first parameter: protocol and sent-by.
    pub(super) fn before_params(&self) -> &'a [u8] {
        let (head, _) = take_while(self.raw, |octet| octet != b';');
        head
    }

    /// `;name=value...`, or empty.
    pub(super) fn params(&self) -> &'a [u8] {
        self.raw.get(self.before_params().len()..).unwrap_or(&[])
    }
}

fn parse(value: &[u8]) -> Option<Via<'_>> {
    let raw = trim(value);
    let rest = match raw.strip_prefix(b"SIP/2.0/") {
        Some(rest) => rest,
        None => protocol(raw)?,
    };
    let (transport, rest) = take_while(trim_start(rest), is_token);
    let sent_by = trim_start(rest);
    if transport.is_empty() || sent_by.len() == rest.len() {
        return None;
    }
    let (host, rest) = host(sent_by)?;
    let rest = trim_start(rest);
    let (sent_port, rest) = match rest {
        [b':', rest @ ..] => {
            let (digits, rest) = take_while(trim_start(rest), |octet| octet.is_ascii_digit());
            (Some(port(digits)?), rest)
        }
        _ => (None, rest),
    };
    let via = Via {
        transport,
        host,
        port: sent_port,
        branch: None,
        rport: None,
        received: None,
        maddr: None,
        raw,
    };
    with_params(via, rest)
}

fn with_params<'a>(mut via: Via<'a>, params: &'a [u8]) -> Option<Via<'a>> {
    for param in Params::new(params) {
        let param = param.ok()?;
        match param.value {
            Some(value) if is_word(param.name, b"branch") => once(&mut via.branch, not_empty(value)?)?,
            value if is_word(param.name, b"rport") => once(&mut via.rport, response_port(value)?)?,
            Some(value) if is_word(param.name, b"received") => once(&mut via.received, ip(value)?)?,
            Some(value) if is_word(param.name, b"maddr") => once(&mut via.maddr, not_empty(value)?)?,
            _ => {}
        }
    }
    Some(via)
}

/// A second parameter of the same name must not win over the first: that would be a way to
/// redirect answers past a check.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

fn not_empty(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}

/// `rport`, `rport=` and `rport=0` ask for the port; `rport=5062` tells it.
fn response_port(value: Option<&[u8]>) -> Option<Option<u16>> {
    let Some(digits) = value.filter(|digits| !digits.is_empty()) else {
        return Some(None);
    };
    let port = u16::try_from(number(digits)?).ok()?;
    Some((port != 0).then_some(port))
}

/// `SIP / 2.0 /` with white space around the slashes; returns what follows.
fn protocol(raw: &[u8]) -> Option<&[u8]> {
    let (name, rest) = take_while(raw, is_token);
    let rest = trim_start(rest).strip_prefix(b"/")?;
    let (version, rest) = take_while(trim_start(rest), is_token);
    let rest = trim_start(rest).strip_prefix(b"/")?;
    (name.eq_ignore_ascii_case(b"SIP") && version == b"2.0").then_some(rest)
}

fn host(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (host, rest) = if bytes.first() == Some(&b'[') {
        let (inside, rest) = take_while(bytes, |octet| octet != b']' && !is_lws(octet));
        if rest.first() != Some(&b']') {
            return None;
        }
        let host = bytes.get(..=inside.len())?;
        ip(host)?;
        (host, rest.get(1..)?)
    } else {
        take_while(bytes, is_host)
    };
    (!host.is_empty()).then_some((host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply_to(value: &str) -> Option<String> {
        Via::parse(value.as_bytes())
            .ok()?
            .reply_to()
            .map(|address| address.to_string())
    }

    #[test]
    fn all_parts() {
        let via = Via::parse(
            b" SIP  / 2.0\r\n /UDP\r\n  [2001:db8::1] : 5070 ; branch = z9hG4bK1 ;rport; received=::2;maddr=a;x ",
        )
        .expect("a Via");
        assert_eq!(via.transport, b"UDP");
        assert_eq!(via.host, b"[2001:db8::1]");
        assert_eq!(via.port, Some(5070));
        assert_eq!(via.branch, Some(&b"z9hG4bK1"[..]));
        assert_eq!(via.rport, Some(None));
        assert_eq!(via.received, "::2".parse().ok());
        assert_eq!(via.maddr, Some(&b"a"[..]));
        assert!(via.raw.starts_with(b"SIP") && via.raw.ends_with(b"x"));
    }

    #[test]
    fn where_responses_go() {
        assert_eq!(reply_to("SIP/2.0/UDP 192.0.2.1").as_deref(), Some("192.0.2.1:5060"));
        assert_eq!(reply_to("SIP/2.0/TLS 192.0.2.1").as_deref(), Some("192.0.2.1:5061"));
        assert_eq!(
            reply_to("SIP/2.0/UDP h:5070;received=192.0.2.2").as_deref(),
            Some("192.0.2.2:5070")
        );
        assert_eq!(
            reply_to("SIP/2.0/UDP h:5070;received=192.0.2.2;rport=9").as_deref(),
            Some("192.0.2.2:9")
        );
        assert_eq!(
            reply_to("SIP/2.0/UDP h;received=[2001:db8::1];rport=9").as_deref(),
            Some("[2001:db8::1]:9")
        );
        assert_eq!(
            reply_to("SIP/2.0/UDP h;maddr=224.2.0.1;received=192.0.2.2").as_deref(),
            Some("224.2.0.1:5060")
        );
        assert_eq!(reply_to("SIP/2.0/UDP h"), None);
    }

    #[test]
    fn broken_values() {
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/3.0/UDP h",
            "SIP/2.0 h",
            "SIP/2.0/UDP h:",
            "SIP/2.0/UDP h:0",
            "SIP/2.0/UDP h:99999",
            "SIP/2.0/UDP h;;",
            "SIP/2.0/UDP h;",
            "SIP/2.0/UDP h;branch=",
            "SIP/2.0/UDP h;branch=a;branch=b",
            "SIP/2.0/UDP h;received=x",
            "SIP/2.0/UDP h;rport=x",
            "SIP/2.0/UDP h x",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP [x]",
            "SIP/2.0/UDP h,",
            "SIP/2.0/UDP h;x=\"",
            "SIP/2.0/UDPh",
            "SIP/2.0/UDP h;rport=70000",
        ] {
            assert!(Via::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
