//! Requests within a dialog, RFC 3261 section 12.2.1.1.

use super::Dialog;
use crate::protocol::sip::{Method, NameAddr, Uri, write_number};

impl Dialog {
    /// Appends a request of ours: the next CSeq number, or for an ACK that of our last INVITE.
    /// `via` is the Via value with the minted branch; `headers` holds Contact and what else the
    /// request needs, without line ends; `body` is Content-Type and octets. Gives the CSeq number.
    /// CANCEL is the transaction layer's to write.
    pub fn write_request(
        &mut self,
        out: &mut Vec<u8>,
        method: Method,
        via: &[u8],
        headers: &[(&str, &[u8])],
        body: Option<(&str, &[u8])>,
    ) -> u32 {
        debug_assert!(!matches!(method, Method::Cancel | Method::Other), "not written here");
        if method == Method::Ack {
            self.write_ack(out, self.invite_seq, via, headers, body);
            return self.invite_seq;
        }
        self.local_seq = self.local_seq.saturating_add(1).min(LAST_SEQ);
        if method == Method::Invite {
            self.invite_seq = self.local_seq;
        }
        self.write(out, method, self.local_seq, via, headers, body);
        self.local_seq
    }

    /// Appends the ACK to the 2xx of our INVITE with number `cseq` (section 13.2.2.4).
    pub fn write_ack(
        &self,
        out: &mut Vec<u8>,
        cseq: u32,
        via: &[u8],
        headers: &[(&str, &[u8])],
        body: Option<(&str, &[u8])>,
    ) {
        self.write(out, Method::Ack, cseq, via, headers, body);
    }

    /// The URI whose host is sent to: the first route's, or the remote target (section 8.1.2; a
    /// strict router's URI is the Request-URI, which comes to the same).
    #[must_use]
    pub fn next_hop(&self) -> &[u8] {
        match self.first_route() {
            Some((_, first)) => first,
            None => self.target(),
        }
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        method: Method,
        cseq: u32,
        via: &[u8],
        headers: &[(&str, &[u8])],
        body: Option<(&str, &[u8])>,
    ) {
        let first = self.first_route();
        let strict = first.filter(|(_, uri)| !is_loose(uri));
        out.extend_from_slice(method.text().as_bytes());
        out.push(b' ');
        match strict {
            // "the UAC MUST place the first URI from the route set into the Request-URI,
            // stripping any parameters that are not allowed in a Request-URI".
            Some((_, uri)) => write_as_request_uri(out, uri),
            None => write_as_request_uri(out, self.target()),
        }
        out.extend_from_slice(b" SIP/2.0\r\n");
        header(out, "Via", via);
        match strict {
            None if first.is_none() => {}
            None => header(out, "Route", self.routes()),
            // "... the remainder of the route set values in order ... MUST then place the remote
            // target URI into the Route header field as the last value".
            Some((rest, _)) => {
                out.extend_from_slice(b"Route: ");
                if !rest.is_empty() {
                    out.extend_from_slice(rest);
                    out.extend_from_slice(b", ");
                }
                out.push(b'<');
                out.extend_from_slice(self.target());
                out.extend_from_slice(b">\r\n");
            }
        }
        out.extend_from_slice(b"Max-Forwards: 70\r\n");
        header(out, "From", self.local());
        header(out, "To", self.remote());
        header(out, "Call-ID", self.call_id());
        out.extend_from_slice(b"CSeq: ");
        write_number(out, u64::from(cseq));
        out.push(b' ');
        out.extend_from_slice(method.text().as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in headers {
            debug_assert!(
                !value.iter().any(|octet| matches!(octet, b'\r' | b'\n')),
                "{name} would inject a line"
            );
            header(out, name, value);
        }
        let (mime, octets) = body.unwrap_or(("", &[]));
        if !mime.is_empty() {
            header(out, "Content-Type", mime.as_bytes());
        }
        out.extend_from_slice(b"Content-Length: ");
        write_number(out, octets.len() as u64);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(octets);
    }

    /// The first route's URI, after the rest of the route set. Values are separated by the `, `
    /// that `fill` wrote; a comma inside `<>` or quotes separates nothing.
    fn first_route(&self) -> Option<(&[u8], &[u8])> {
        let routes = self.routes();
        if routes.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped, mut inside) = (false, false, false);
        let end = routes.iter().position(|&octet| {
            match octet {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' if !inside => quoted = !quoted,
                b'<' if !quoted => inside = true,
                b'>' if !quoted => inside = false,
                b',' => return !quoted && !inside,
                _ => {}
            }
            false
        });
        let (first, rest) = match end {
            Some(end) => (routes.get(..end)?, routes.get(end + 1..)?.trim_ascii_start()),
            None => (routes, &[][..]),
        };
        Some((rest, NameAddr::parse(first).map_or(first, |route| route.uri)))
    }
}

/// Whether a route's URI names a loose router (section 19.1.1, `lr`).
fn is_loose(uri: &[u8]) -> bool {
    // A URI that cannot be read is put into Route and never into the Request-URI.
    Uri::parse(uri).map_or(true, |uri| uri.param("lr").is_some())
}

/// Writes a URI without the parts that section 19.1.1's table 1 forbids in a Request-URI: the
/// `method` parameter and headers.
fn write_as_request_uri(out: &mut Vec<u8>, uri: &[u8]) {
    let Ok(parsed) = Uri::parse(uri) else {
        return out.extend_from_slice(uri);
    };
    let has_method = parsed.param("method").is_some();
    if !has_method && parsed.headers.is_empty() {
        return out.extend_from_slice(uri);
    }
    // The user part may hold `?` and `;` itself, so both are looked for after it.
    let host = uri.iter().position(|&octet| octet == b'@').unwrap_or(0);
    let (user, rest) = uri.split_at(host);
    let rest = rest.split(|&octet| octet == b'?').next().unwrap_or_default();
    out.extend_from_slice(user);
    for (number, piece) in rest.split(|&octet| octet == b';').enumerate() {
        let name = piece.split(|&octet| octet == b'=').next().unwrap_or_default();
        if number > 0 && name.eq_ignore_ascii_case(b"method") {
            continue;
        }
        if number > 0 {
            out.push(b';');
        }
        out.extend_from_slice(piece);
    }
}

fn header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Section 8.1.1.5: "less than 2**31".
const LAST_SEQ: u32 = (1 << 31) - 1;
