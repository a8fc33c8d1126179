//! Cutting a stream into messages: RFC 3261 sections 7.5 and 18.3, RFC 5626 section 3.5.1.

use super::name::Name;
use super::parse::agreed;
use super::scan::{Carrier, Lines, MAX_BODY, MAX_HEAD};
use memchr::memmem;
use shards::Frame;

/// What the first octets of a stream's buffer are. The answer for a longer buffer never
/// contradicts the one for a shorter: after [`Frame::Partial`] only more octets decide.
///
/// A double CRLF before a message is a ping and gets a CRLF; a single one is skipped. While only
/// CR LF has come it cannot be known which it is, so this is `Partial` too, though the
/// connection is idle then, not slow.
#[must_use]
pub fn frame(bytes: &[u8]) -> Frame {
    match bytes {
        [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Frame::Partial,
        [b'\r', b'\n', b'\r', b'\n', ..] => return Frame::KeepAlive { len: 4, reply: b"\r\n" },
        [b'\r', b'\n', ..] => return Frame::KeepAlive { len: 2, reply: b"" },
        _ => {}
    }
    let window = bytes.get(..MAX_HEAD).unwrap_or(bytes);
    let Some(end) = memmem::find(window, b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD {
            Frame::Bad { len: MAX_HEAD }
        } else {
            Frame::Partial
        };
    };
    let head = end + 4;
    match body_length(window.get(..head).unwrap_or(window)) {
        Some(body) if body <= MAX_BODY && bytes.len() - head >= body => Frame::Message { len: head + body },
        Some(body) if body <= MAX_BODY => Frame::Partial,
        _ => Frame::Bad { len: head },
    }
}

/// Content-Length of a whole head; `None` when it is missing, broken or contradictory, or when
/// the head's lines cannot be told apart.
fn body_length(head: &[u8]) -> Option<usize> {
    let mut lines = Lines::new(head, Carrier::Stream);
    lines.start_line().ok()?;
    let mut length = None;
    while let Some(field) = lines.field().ok()? {
        if field.name == Name::ContentLength {
            length = Some(agreed(length, field.value.get(head)).ok()?);
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_and_single_line_ends() {
        assert_eq!(frame(b"\r\n\r\nX"), Frame::KeepAlive { len: 4, reply: b"\r\n" });
        assert_eq!(frame(b"\r\nX"), Frame::KeepAlive { len: 2, reply: b"" });
        for more in [&b""[..], b"\r", b"\r\n", b"\r\n\r"] {
            assert_eq!(frame(more), Frame::Partial, "{more:?}");
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(frame(b"X y\r\nl: 2\r\n\r\nabc"), Frame::Message { len: 15 });
        assert_eq!(frame(b"X y\r\nl: 2\r\n\r\na"), Frame::Partial);
        assert_eq!(
            frame(b"X y\r\nContent-Length: 0\r\nl:0\r\n\r\n"),
            Frame::Message { len: 31 }
        );
        for bad in [
            &b"X y\r\n\r\n"[..],
            b"X y\r\nl: -1\r\n\r\n",
            b"X y\r\nl: 1\r\nl: 2\r\n\r\n",
            b"X y\r\nl: 65537\r\n\r\n",
        ] {
            assert_eq!(frame(bad), Frame::Bad { len: bad.len() }, "{bad:?}");
        }
    }

    /// A length hidden behind a lone CR or LF would be read differently by others.
    #[test]
    fn lone_line_ends_are_refused() {
        for bad in [
            &b"X y\nl: 2\r\n\r\n"[..],
            b"X y\rl: 2\r\n\r\n",
            b"X y\r\nA: b\nl: 0\r\nl: 2\r\n\r\n",
        ] {
            assert_eq!(frame(bad), Frame::Bad { len: bad.len() }, "{bad:?}");
        }
    }
}
