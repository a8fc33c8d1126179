//! SIP text as the scripted phones read and write it: independent of the code under test.

use std::net::SocketAddr;

/// A message cut into lines.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// Request line or status line.
    pub start: String,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, String)>,
    /// What follows the empty line.
    pub body: String,
}

impl Text {
    /// `None` when there is no empty line.
    #[must_use]
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(octets).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Self {
            start,
            headers,
            body: body.to_owned(),
        })
    }

    /// All values of a header, by its name in lower case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a header, or nothing.
    #[must_use]
    pub fn one(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// 0 for a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        let code = self.start.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Of a request its own, of a response the one in CSeq.
    #[must_use]
    pub fn method(&self) -> &str {
        self.one("cseq").split_ascii_whitespace().nth(1).unwrap_or("")
    }

    /// The number in CSeq.
    #[must_use]
    pub fn cseq(&self) -> u32 {
        let number = self.one("cseq").split_ascii_whitespace().next();
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// The branch of the topmost Via.
    #[must_use]
    pub fn branch(&self) -> String {
        parameter(self.one("via"), "branch").unwrap_or("").to_owned()
    }

    /// The tag of From.
    #[must_use]
    pub fn tag_of_from(&self) -> String {
        parameter(self.one("from"), "tag").unwrap_or("").to_owned()
    }

    /// The tag of To.
    #[must_use]
    pub fn tag_of_to(&self) -> String {
        parameter(self.one("to"), "tag").unwrap_or("").to_owned()
    }

    /// All values of a header that is a list of `<...>`.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let values = self.all(name).flat_map(|value| value.split(','));
        values.map(|value| value.trim().to_owned()).collect()
    }
}

/// A parameter of a header value.
#[must_use]
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value
        .split(';')
        .skip(1)
        .filter_map(|part| part.split_once('='))
        .find(|(known, _)| known.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().trim_matches('"'))
}

/// What is between `<` and `>`, or the value without parameters.
#[must_use]
pub fn uri(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => value.split(';').next().unwrap_or(value),
    }
}

/// The user part.
#[must_use]
pub fn user(uri: &str) -> &str {
    let rest = uri.strip_prefix("sip:").unwrap_or(uri);
    rest.split_once('@').map_or("", |(user, _)| user)
}

/// The literal address of a SIP URI.
#[must_use]
pub fn address(uri: &str) -> Option<SocketAddr> {
    let rest = uri.strip_prefix("sip:")?;
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?']).next().unwrap_or(host);
    match host.parse() {
        Ok(address) => Some(address),
        Err(_) => Some(SocketAddr::new(host.parse().ok()?, 5060)),
    }
}

/// One parameter of a challenge.
#[must_use]
pub fn challenge<'a>(value: &'a str, name: &str) -> &'a str {
    let rest = value.strip_prefix("Digest ").unwrap_or(value);
    rest.split(", ")
        .filter_map(|part| part.split_once('='))
        .find(|(known, _)| *known == name)
        .map_or("", |(_, value)| value.trim_matches('"'))
}

/// Where an SDP wants its audio, and its direction.
#[must_use]
pub fn audio(sdp: &str) -> (Option<SocketAddr>, &str) {
    let line = |start: &str| sdp.lines().filter_map(|line| line.strip_prefix(start)).next_back();
    let ip = line("c=IN IP4 ").and_then(|ip| ip.trim().parse().ok());
    let port = line("m=audio ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let direction = ["sendonly", "recvonly", "inactive"]
        .into_iter()
        .find(|word| sdp.lines().any(|line| line.strip_prefix("a=") == Some(word)))
        .unwrap_or("sendrecv");
    (ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port)), direction)
}

/// The fields that tell where a message belongs, borrowed: quick enough to look at every datagram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Glance<'a> {
    /// Request line or status line.
    pub start: &'a str,
    /// The topmost Via.
    pub via: &'a str,
    /// From.
    pub from: &'a str,
    /// To.
    pub to: &'a str,
    /// Call-ID.
    pub call_id: &'a str,
    /// CSeq.
    pub cseq: &'a str,
    /// Whether it carries Proxy-Authorization.
    pub proved: bool,
}

impl<'a> Glance<'a> {
    /// `None` for what is no SIP message with these fields.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let head = text.split("\r\n\r\n").next()?;
        let mut lines = head.split("\r\n");
        let mut glance = Self {
            start: lines.next()?,
            ..Self::default()
        };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let name = name.trim_end();
            let is = |long: &str, short: &str| name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(short);
            let place = match name.len() {
                3 | 1 if is("via", "v") => &mut glance.via,
                4 | 1 if is("from", "f") => &mut glance.from,
                2 | 1 if is("to", "t") => &mut glance.to,
                7 | 1 if is("call-id", "i") => &mut glance.call_id,
                4 if is("cseq", "cseq") => &mut glance.cseq,
                19 if is("proxy-authorization", "proxy-authorization") => {
                    glance.proved = true;
                    continue;
                }
                _ => continue,
            };
            if place.is_empty() {
                *place = value.trim();
            }
        }
        let whole = [glance.via, glance.from, glance.to, glance.call_id, glance.cseq];
        whole.iter().all(|field| !field.is_empty()).then_some(glance)
    }

    /// 0 for a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        let code = self.start.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Of a request its own, of a response the one in CSeq.
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.cseq.split_ascii_whitespace().nth(1).unwrap_or("")
    }

    /// The number in CSeq.
    #[must_use]
    pub fn number(&self) -> u32 {
        let number = self.cseq.split_ascii_whitespace().next();
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// A request's Request-URI.
    #[must_use]
    pub fn uri(&self) -> &'a str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    /// The branch of the topmost Via.
    #[must_use]
    pub fn branch(&self) -> &'a str {
        parameter(self.via, "branch").unwrap_or("")
    }

    /// `host:port` of the topmost Via.
    #[must_use]
    pub fn sent_by(&self) -> &'a str {
        let value = self.via.split(';').next().unwrap_or("");
        value.rsplit(' ').next().unwrap_or("")
    }

    /// The tag of From.
    #[must_use]
    pub fn from_tag(&self) -> &'a str {
        parameter(self.from, "tag").unwrap_or("")
    }

    /// The tag of To, empty when there is none.
    #[must_use]
    pub fn to_tag(&self) -> &'a str {
        parameter(self.to, "tag").unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glance_sees_what_text_sees() {
        let text = "SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKa;rport\r\nVia: x\r\n\
            From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=\"2\"\r\nCall-ID: x@y\r\nCSeq: 7 INVITE\r\n\r\nVia: body";
        let glance = Glance::read(text).expect("a message");
        assert_eq!((glance.status(), glance.method(), glance.number()), (180, "INVITE", 7));
        assert_eq!((glance.branch(), glance.sent_by()), ("z9hG4bKa", "10.0.0.1:5060"));
        assert_eq!((glance.from_tag(), glance.to_tag(), glance.call_id), ("1", "2", "x@y"));
        assert!(Glance::read("").is_none() && Glance::read("\r\n\r\n").is_none());
    }
}
