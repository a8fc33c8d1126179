//! An end that sends any octets, as datagrams or over streams cut anywhere, and keeps what comes
//! back; it may answer requests, octet for octet as they came.

use shards::sim::{Endpoint, EndpointCx, StreamInput};
use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// What to do with requests that come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing.
    Silent,
    /// 200 to everything; an INVITE whose Call-ID does not begin so is answered with 486.
    Answers(&'static str),
}

/// When a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The other side has to.
    Stays,
    /// So long after the last octet was written; zero: with it.
    Closes(Duration),
}

#[derive(Default)]
struct Stream {
    pieces: Vec<Vec<u8>>,
    after: Option<Duration>,
    open: bool,
}

/// The end.
pub struct Stranger {
    /// Where it is.
    pub me: SocketAddr,
    /// What it does with requests.
    pub manner: Manner,
    /// Datagrams and pieces of streams, in the order in which they came.
    pub heard: Vec<Vec<u8>>,
    streams: BTreeMap<u64, Stream>,
}

impl Stranger {
    /// One at an address.
    #[must_use]
    pub fn new(me: SocketAddr, manner: Manner) -> Self {
        Self {
            me,
            manner,
            heard: Vec::new(),
            streams: BTreeMap::new(),
        }
    }

    /// Opens a stream, writes the pieces when it is open, and ends it.
    pub fn stream_to(
        &mut self,
        cx: &mut EndpointCx<'_>,
        from: SocketAddr,
        to: SocketAddr,
        pieces: &[&[u8]],
        after: After,
    ) {
        let stream = Stream {
            pieces: pieces.iter().map(|piece| piece.to_vec()).collect(),
            after: match after {
                After::Stays => None,
                After::Closes(after) => Some(after),
            },
            open: false,
        };
        self.streams.insert(cx.connect(from, to), stream);
    }

    /// Ends all its streams.
    pub fn close_all(&mut self, cx: &mut EndpointCx<'_>) {
        std::mem::take(&mut self.streams)
            .keys()
            .for_each(|&conn| cx.close(conn));
    }

    /// How many of its streams are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.streams.values().filter(|stream| stream.open).count()
    }

    fn answer(&mut self, cx: &mut EndpointCx<'_>, from: SocketAddr, request: &[u8]) {
        let Manner::Answers(calls) = self.manner else { return };
        if request.starts_with(b"SIP/2.0 ") || request.starts_with(b"ACK ") {
            return;
        }
        let lines = lines(request);
        let call = lines.iter().any(|(name, line)| {
            name == "call-id" && calls.as_bytes() == value(line).get(..calls.len()).unwrap_or_default()
        });
        let invite = request.starts_with(b"INVITE ");
        let mut out = match (invite, call) {
            (true, false) => b"SIP/2.0 486 Busy Here\r\n".to_vec(),
            _ => b"SIP/2.0 200 OK\r\n".to_vec(),
        };
        for (name, line) in &lines {
            match name.as_str() {
                "via" | "from" | "call-id" | "cseq" | "record-route" => out.extend_from_slice(line),
                "to" => {
                    out.extend_from_slice(line.trim_ascii_end());
                    if !line.windows(5).any(|part| part.eq_ignore_ascii_case(b";tag=")) {
                        out.extend_from_slice(b";tag=stranger");
                    }
                    out.extend_from_slice(b"\r\n");
                }
                _ => {}
            }
        }
        let body = match (invite, call) {
            (true, true) => answer(self.me, request),
            _ => String::new(),
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        out.extend_from_slice(
            format!(
                "Contact: <sip:stranger@{}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
                self.me,
                body.len()
            )
            .as_bytes(),
        );
        cx.send(self.me, from, &out);
    }
}

/// A description with audio at an address, on a port below its own.
#[must_use]
pub fn sdp(at: SocketAddr) -> String {
    let ip = at.ip();
    format!("v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n")
}

/// The answer to the description in a request: the first line of audio is taken, others are not
/// (RFC 3264 section 6: as many lines as were offered).
fn answer(at: SocketAddr, request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let offered: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("m=")).collect();
    if offered.is_empty() {
        return sdp(at);
    }
    let whole = sdp(at);
    let mut out = whole[..whole.find("m=").unwrap_or(whole.len())].to_owned();
    let mut taken = false;
    for line in offered {
        let mut words = line.split_ascii_whitespace();
        let (kind, proto) = (words.next().unwrap_or("audio"), words.nth(1).unwrap_or("RTP/AVP"));
        let port = if kind == "audio" && !taken { 4000 } else { 0 };
        taken |= port > 0;
        let format = words.next().unwrap_or("0");
        out.push_str(&format!("m={kind} {port} {proto} {format}\r\n"));
    }
    out
}

/// The header lines with their folds, each with its long name in lower case.
fn lines(message: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut lines: Vec<(String, Vec<u8>)> = Vec::new();
    for line in message.split_inclusive(|&octet| octet == b'\n').skip(1) {
        if line.trim_ascii().is_empty() {
            break;
        }
        match lines.last_mut() {
            Some((_, last)) if matches!(line[0], b' ' | b'\t') => last.extend_from_slice(line),
            _ => {
                let name = line.split(|&octet| octet == b':').next().unwrap_or_default();
                let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
                let name = match name.as_str() {
                    "v" => "via",
                    "f" => "from",
                    "t" => "to",
                    "i" => "call-id",
                    other => other,
                };
                lines.push((name.to_owned(), line.to_vec()));
            }
        }
    }
    lines
}

fn value(line: &[u8]) -> &[u8] {
    let colon = line.iter().position(|&octet| octet == b':').map_or(0, |at| at + 1);
    line[colon..].trim_ascii()
}

impl Endpoint for Stranger {
    fn datagram(&mut self, cx: &mut EndpointCx<'_>, to: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        if to == self.me {
            self.answer(cx, from, bytes);
        }
        self.heard.push(bytes.to_vec());
    }

    fn timer(&mut self, cx: &mut EndpointCx<'_>, conn: u64) {
        cx.close(conn);
        self.streams.remove(&conn);
    }

    fn stream(&mut self, cx: &mut EndpointCx<'_>, conn: u64, input: StreamInput<'_>) {
        match input {
            StreamInput::Opened => {
                let Some(stream) = self.streams.get_mut(&conn) else {
                    return;
                };
                stream.open = true;
                for piece in std::mem::take(&mut stream.pieces) {
                    cx.write(conn, &piece);
                }
                match stream.after {
                    Some(Duration::ZERO) => {
                        cx.close(conn);
                        self.streams.remove(&conn);
                    }
                    Some(after) => cx.timer_at(cx.now + after, conn),
                    None => {}
                }
            }
            StreamInput::Octets(octets) => self.heard.push(octets.to_vec()),
            StreamInput::Closed => drop(self.streams.remove(&conn)),
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
