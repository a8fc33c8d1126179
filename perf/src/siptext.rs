//! Just enough SIP and SDP text for a load tool: it talks to servers under test with messages of
//! its own and reads their answers. Not a parser for hostile input.

use crate::engine::message;
use std::net::SocketAddr;

/// Values of all header lines with this name (long form, or the given compact letter).
pub fn headers<'a>(message: &'a str, name: &'a str, compact: &'a str) -> impl Iterator<Item = &'a str> {
    head(message).lines().skip(1).filter_map(move |line| {
        let (left, value) = line.split_once(':')?;
        let left = left.trim_end();
        let hit = left.eq_ignore_ascii_case(name) || (!compact.is_empty() && left.eq_ignore_ascii_case(compact));
        hit.then(|| value.trim())
    })
}

/// The first such value.
#[must_use]
pub fn header<'a>(message: &'a str, name: &'a str, compact: &'a str) -> Option<&'a str> {
    headers(message, name, compact).next()
}

/// Status code of a response.
#[must_use]
pub fn status(message: &str) -> Option<u16> {
    message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// Method and URI of a request.
#[must_use]
pub fn request_line(message: &str) -> Option<(&str, &str)> {
    let mut words = message.lines().next()?.split(' ');
    let (method, uri) = (words.next()?, words.next()?);
    (words.next()? == "SIP/2.0").then_some((method, uri))
}

/// Method in the CSeq header.
#[must_use]
pub fn cseq_method(message: &str) -> &str {
    header(message, "CSeq", "")
        .and_then(|value| value.split_ascii_whitespace().nth(1))
        .unwrap_or("")
}

/// Where SDP wants audio: the first `m=audio` with its own or the session's `c=`.
#[must_use]
pub fn sdp_audio(message: &str) -> Option<SocketAddr> {
    let body = message.split_once("\r\n\r\n").map_or(message, |(_, body)| body);
    message::sdp_audio(body.as_bytes())
}

/// An SDP body with one PCMU stream.
#[must_use]
pub fn sdp(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "v=0\r\no=rtpload {port} 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n"
    )
}

/// A response to `request`; `to_tag` is added when its To has none.
#[must_use]
pub fn reply(request: &str, status: &str, to_tag: &str, contact: SocketAddr, body: &str) -> String {
    let mut out = format!("SIP/2.0 {status}\r\n");
    for (name, compact) in [("Via", "v"), ("Record-Route", "")] {
        for value in headers(request, name, compact) {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for (name, compact) in [("From", "f"), ("To", "t"), ("Call-ID", "i"), ("CSeq", "")] {
        let value = header(request, name, compact).unwrap_or("");
        let tag = if name == "To" && !value.contains(";tag=") {
            format!(";tag={to_tag}")
        } else {
            String::new()
        };
        out.push_str(&format!("{name}: {value}{tag}\r\n"));
    }
    out.push_str(&format!("Contact: <sip:rtpload@{contact}>\r\n"));
    if !body.is_empty() {
        out.push_str("Content-Type: application/sdp\r\n");
    }
    out.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    out
}

fn head(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or(message, |(head, _)| head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:7000001@h SIP/2.0\r\nv: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nTo: <sip:x@h>\r\n\
        Call-ID: c\r\nCSeq: 1 INVITE\r\nc: application/sdp\r\n\r\nv=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n";

    #[test]
    fn reads_a_request() {
        assert_eq!(request_line(INVITE), Some(("INVITE", "sip:7000001@h")));
        assert_eq!(headers(INVITE, "Via", "v").count(), 2);
        assert_eq!(cseq_method(INVITE), "INVITE");
        assert_eq!(sdp_audio(INVITE), "127.0.0.1:4000".parse().ok());
    }

    #[test]
    fn replies_with_a_tag() {
        let address = SocketAddr::from(([127, 0, 0, 1], 5080));
        let text = reply(INVITE, "200 OK", "t1", address, &sdp(address));
        assert_eq!(status(&text), Some(200));
        assert_eq!(header(&text, "To", "t"), Some("<sip:x@h>;tag=t1"));
        assert_eq!(sdp_audio(&text), Some(address));
    }
}
