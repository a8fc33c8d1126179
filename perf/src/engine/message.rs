//! What the engine has to know of a received message. The wire is hostile: every look is bounded and
//! nothing is trusted to be there.

use memchr::memchr;

/// One received message, looked through once.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// All of it.
    pub octets: &'a [u8],
    /// Status of a response; 0 for a request.
    pub status: u16,
    /// Method of the request, or of the request that the response answers (CSeq).
    pub method: &'a [u8],
    /// Call-ID.
    pub call_id: &'a [u8],
    /// Number in CSeq.
    pub cseq: u32,
    /// Value of From.
    pub from: &'a [u8],
    /// Value of To.
    pub to: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// Reads a message; `None` when start line, Call-ID or CSeq are missing.
    #[must_use]
    pub fn read(octets: &'a [u8]) -> Option<Self> {
        let end = memchr(b'\n', octets)?;
        let start = octets.get(..end)?;
        let (status, mut method) = match start.strip_prefix(b"SIP/2.0 ") {
            Some(rest) => (
                number(rest).filter(|status| (100..700).contains(status))? as u16,
                &[][..],
            ),
            None => (0, start.split(|&octet| octet == b' ').next()?),
        };
        let (mut call_id, mut cseq, mut from, mut to) = (None, None, None, None);
        for (name, value) in headers(octets) {
            let slot = match (name.len(), name.first().map_or(0, |octet| octet | 0x20)) {
                (4, b'c') if name.eq_ignore_ascii_case(b"cseq") => &mut cseq,
                (7, b'c') if name.eq_ignore_ascii_case(b"call-id") => &mut call_id,
                (1, b'i') => &mut call_id,
                (4, b'f') if name.eq_ignore_ascii_case(b"from") => &mut from,
                (1, b'f') => &mut from,
                (2, b't') if name.eq_ignore_ascii_case(b"to") => &mut to,
                (1, b't') => &mut to,
                _ => continue,
            };
            slot.get_or_insert(value);
            if call_id.is_some() && cseq.is_some() && from.is_some() && to.is_some() {
                break;
            }
        }
        let mut words = cseq?
            .split(|octet| octet.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        let cseq = number(words.next()?)?;
        if status != 0 {
            method = words.next()?;
        }
        Some(Self {
            octets,
            status,
            method,
            call_id: call_id?,
            cseq,
            from: from.unwrap_or_default(),
            to: to.unwrap_or_default(),
        })
    }

    /// Whether it is a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.status == 0
    }

    /// The tag of the other end: To's in a response, From's in a request.
    #[must_use]
    pub fn peer_tag(&self) -> Option<&'a [u8]> {
        parameter(if self.is_request() { self.from } else { self.to }, b"tag")
    }
}

/// Leading digits as a number.
fn number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take_while(|octet| octet.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

/// The header lines of a message: names and values, without line ends. A folded line is given up
/// to its first line end.
pub fn headers(octets: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(octets).filter_map(|line| {
        let colon = memchr(b':', line)?;
        Some((line.get(..colon)?.trim_ascii_end(), line.get(colon + 1..)?.trim_ascii()))
    })
}

/// The lines of the head after the first.
pub fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = memchr(b'\n', octets)
        .and_then(|end| octets.get(end + 1..))
        .unwrap_or_default();
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest)?;
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            rest = &[];
            return None;
        }
        Some(line)
    })
}

/// The long name of a compact header name.
fn long(name: &[u8]) -> &[u8] {
    match name {
        [letter] => match letter | 0x20 {
            b'v' => b"via",
            b'f' => b"from",
            b't' => b"to",
            b'i' => b"call-id",
            b'm' => b"contact",
            b'l' => b"content-length",
            b'c' => b"content-type",
            b'k' => b"supported",
            b's' => b"subject",
            b'e' => b"content-encoding",
            _ => name,
        },
        _ => name,
    }
}

/// Whether two header names are the same.
#[must_use]
pub fn same_name(one: &[u8], other: &[u8]) -> bool {
    long(one).eq_ignore_ascii_case(long(other))
}

/// Values of all headers of that name.
pub fn values<'a>(octets: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    headers(octets)
        .filter(move |(known, _)| same_name(known, name))
        .map(|(_, value)| value)
}

/// What stands after the empty line.
#[must_use]
pub fn body(octets: &[u8]) -> &[u8] {
    memchr::memmem::find(octets, b"\r\n\r\n")
        .and_then(|at| octets.get(at + 4..))
        .unwrap_or_default()
}

/// The value of `;name=value` after the last `>` (or anywhere when there is none).
#[must_use]
pub fn parameter<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let after = memchr::memrchr(b'>', value).map_or(value, |at| &value[at..]);
    after.split(|&octet| octet == b';').skip(1).find_map(|piece| {
        let piece = piece.trim_ascii();
        let (known, rest) = piece.split_at_checked(name.len())?;
        if !known.eq_ignore_ascii_case(name) {
            return None;
        }
        let text = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
        let end = text
            .iter()
            .position(|octet| b",;> \t".contains(octet))
            .unwrap_or(text.len());
        text.get(..end)
    })
}

/// The URI in a Contact or Route value.
#[must_use]
pub fn uri(value: &[u8]) -> &[u8] {
    match memchr(b'<', value) {
        Some(at) => {
            let rest = &value[at + 1..];
            &rest[..memchr(b'>', rest).unwrap_or(rest.len())]
        }
        None => value.split(|octet| b";, \t".contains(octet)).next().unwrap_or_default(),
    }
}

/// The entries of a list such as Route or Contact: commas inside angle brackets or quotes are none of its own.
pub fn entries(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut inside) = (false, false);
    value
        .split(move |&octet| {
            match octet {
                b'"' if !inside => quoted = !quoted,
                b'<' if !quoted => inside = true,
                b'>' if !quoted => inside = false,
                _ => {}
            }
            octet == b',' && !quoted && !inside
        })
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
}

/// Where the SDP in a message wants audio: the first `m=audio` with its own or the session's `c=`.
#[must_use]
pub fn audio_target(octets: &[u8]) -> Option<std::net::SocketAddr> {
    sdp_audio(body(octets))
}

/// The same of an SDP alone.
#[must_use]
pub fn sdp_audio(sdp: &[u8]) -> Option<std::net::SocketAddr> {
    let (mut address, mut port) = (None, None);
    for line in sdp.split(|&octet| octet == b'\n') {
        let line = std::str::from_utf8(line).ok()?.trim_end();
        if let Some(rest) = line.strip_prefix("c=IN IP") {
            address = rest.split(' ').nth(1).and_then(|text| text.parse().ok()).or(address);
        } else if line.starts_with("m=") {
            if port.is_some() {
                break;
            }
            port = line
                .strip_prefix("m=audio ")
                .and_then(|rest| rest.split([' ', '/']).next()?.parse::<u16>().ok());
        }
    }
    Some(std::net::SocketAddr::new(address?, port.filter(|&port| port != 0)?))
}

/// A number that tells messages apart, for finding ones sent again.
#[must_use]
pub fn fingerprint(octets: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = octets.as_chunks::<8>();
    let mut hash = octets.len() as u64;
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word))
            .wrapping_mul(MULTIPLIER)
            .rotate_left(29);
    }
    for &octet in rest {
        hash = (hash ^ u64::from(octet)).wrapping_mul(MULTIPLIER).rotate_left(29);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1;received=1.2.3.4\r\nf: <sip:a@h;tag=no>;tag=1\r\nTo: x <sip:b@h>;TAG = 2\r\ni: abc\r\nCSeq: 7 INVITE\r\nm: <sip:c@1.2.3.4:5;lr>;q=1\r\n\r\nv=0\r\nc=IN IP4 9.9.9.9\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 8.8.8.8\r\nm=video 5 RTP/AVP 1\r\n";

    #[test]
    fn responses_and_requests() {
        let message = Incoming::read(OK).expect("good");
        assert_eq!((message.status, message.method, message.cseq), (200, &b"INVITE"[..], 7));
        assert_eq!((message.call_id, message.peer_tag()), (&b"abc"[..], Some(&b"2"[..])));
        assert_eq!(audio_target(OK), "8.8.8.8:4000".parse().ok());
        assert_eq!(uri(values(OK, b"Contact").next().expect("one")), b"sip:c@1.2.3.4:5;lr");
        assert_eq!(
            parameter(values(OK, b"via").next().expect("one"), b"branch"),
            Some(&b"z9hG4bK1"[..])
        );
        let request = b"BYE sip:a SIP/2.0\r\nFrom: <sip:b>;tag=9\r\nCall-ID: x\r\nCSeq: 2 BYE\r\n\r\n";
        let message = Incoming::read(request).expect("good");
        assert_eq!((message.method, message.peer_tag()), (&b"BYE"[..], Some(&b"9"[..])));
    }

    #[test]
    fn lists_are_taken_apart() {
        let all: Vec<&[u8]> = entries(b"<sip:a;x=1,2>, \"b, c\" <sip:d>,,").collect();
        assert_eq!(all, [&b"<sip:a;x=1,2>"[..], b"\"b, c\" <sip:d>"]);
    }

    #[test]
    fn broken_ones_are_refused() {
        for text in [
            &b""[..],
            b"\r\n\r\n",
            b"SIP/2.0 99 x\r\nCall-ID: 1\r\nCSeq: 1 A\r\n\r\n",
            b"SIP/2.0 200\r\nCall-ID: 1\r\n\r\n",
            b"SIP/2.0 200\r\nCall-ID: 1\r\nCSeq: 1\r\n\r\n",
            b"A b\r\nCSeq: 1 A\r\n\r\nCall-ID: 1\r\n",
        ] {
            assert!(Incoming::read(text).is_none(), "{text:?}");
        }
    }
}
