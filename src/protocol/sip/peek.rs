//! Enough of a message to find its home shard, without parsing the rest: the shard that receives a
//! datagram hands most of them on, and the home parses them anyway.

use super::text::trim;
use memchr::memchr;

/// What decides the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek<'a> {
    /// A response: value of its topmost Via line.
    Response(&'a [u8]),
    /// A REGISTER: value of To.
    Register(&'a [u8]),
    /// Another request: value of Call-ID.
    Request(&'a [u8]),
}

type Wrap<'a> = fn(&'a [u8]) -> Peek<'a>;

/// Looks for the one header that counts. `None` when it is not there in plain form (folded, or
/// missing): then the message has to be parsed.
#[must_use]
pub fn peek<'a>(octets: &'a [u8]) -> Option<Peek<'a>> {
    let first = memchr(b'\n', octets)?;
    let (start, mut rest) = octets.split_at(first + 1);
    let (long, short, wrap): (&[u8], u8, Wrap<'a>) = if start.starts_with(b"SIP/") {
        (b"via", b'v', Peek::Response)
    } else if start.starts_with(b"REGISTER ") {
        (b"to", b't', Peek::Register)
    } else {
        (b"call-id", b'i', Peek::Request)
    };
    while let Some(end) = memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end + 1);
        if let Some(value) = value_of(line, long, short) {
            // A value that goes on in the next line is the parser's business.
            return (!matches!(after.first(), Some(b' ' | b'\t'))).then(|| wrap(value));
        }
        if line == b"\r\n" || line == b"\n" {
            return None;
        }
        rest = after;
    }
    None
}

fn value_of<'a>(line: &'a [u8], long: &[u8], short: u8) -> Option<&'a [u8]> {
    let first = line.first()?;
    let after_name = if first | 0x20 == short && matches!(line.get(1), Some(b':' | b' ' | b'\t')) {
        line.get(1..)?
    } else if line.get(..long.len())?.eq_ignore_ascii_case(long) {
        line.get(long.len()..)?
    } else {
        return None;
    };
    let colon = after_name.iter().position(|&octet| octet != b' ' && octet != b'\t')?;
    let value = after_name.get(colon..)?.strip_prefix(b":")?;
    Some(trim(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_that_counts() {
        let of = |text: &'static str| peek(text.as_bytes());
        assert_eq!(
            of("INVITE sip:a@h SIP/2.0\r\nVia: x\r\nCall-ID: abc@d \r\n\r\n"),
            Some(Peek::Request(b"abc@d"))
        );
        assert_eq!(
            of("INVITE sip:a@h SIP/2.0\r\ni:abc\r\n\r\n"),
            Some(Peek::Request(b"abc"))
        );
        assert_eq!(
            of("BYE sip:a@h SIP/2.0\r\ncALL-id  :\tabc\n\n"),
            Some(Peek::Request(b"abc"))
        );
        assert_eq!(
            of("REGISTER sip:h SIP/2.0\r\nTimestamp: 1\r\nTo: <sip:a@h>\r\n\r\n"),
            Some(Peek::Register(b"<sip:a@h>"))
        );
        assert_eq!(
            of("REGISTER sip:h SIP/2.0\r\nt: <sip:a@h>\r\n\r\n"),
            Some(Peek::Register(b"<sip:a@h>"))
        );
        assert_eq!(
            of("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h;branch=z\r\n\r\n"),
            Some(Peek::Response(b"SIP/2.0/UDP h;branch=z"))
        );
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_parser() {
        for text in [
            "",
            "INVITE",
            "INVITE sip:a SIP/2.0\r\n\r\nCall-ID: body\r\n",
            "INVITE sip:a SIP/2.0\r\nCall-ID:\r\n abc\r\n\r\n",
            "INVITE sip:a SIP/2.0\r\nCall-IDx: a\r\n\r\n",
        ] {
            assert_eq!(peek(text.as_bytes()), None, "{text:?}");
        }
    }
}
