//! SIP text as the scripted phones read and write it: independent of the code under test.

use std::net::SocketAddr;

/// A message cut into lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Text {
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
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

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn one(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// 0 for a request.
    pub(crate) fn status(&self) -> u16 {
        let code = self.start.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Of a request its own, of a response the one in CSeq.
    pub(crate) fn method(&self) -> &str {
        self.one("cseq").split_ascii_whitespace().nth(1).unwrap_or("")
    }

    pub(crate) fn cseq(&self) -> u32 {
        let number = self.one("cseq").split_ascii_whitespace().next();
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn branch(&self) -> String {
        parameter(self.one("via"), "branch").unwrap_or("").to_owned()
    }

    pub(crate) fn tag_of_from(&self) -> String {
        parameter(self.one("from"), "tag").unwrap_or("").to_owned()
    }

    pub(crate) fn tag_of_to(&self) -> String {
        parameter(self.one("to"), "tag").unwrap_or("").to_owned()
    }

    /// All values of a header that is a list of `<...>`.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.all(name).flat_map(|value| value.split(','));
        values.map(|value| value.trim().to_owned()).collect()
    }
}

pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value
        .split(';')
        .skip(1)
        .filter_map(|part| part.split_once('='))
        .find(|(known, _)| known.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().trim_matches('"'))
}

/// What is between `<` and `>`, or the value without parameters.
pub(crate) fn uri(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => value.split(';').next().unwrap_or(value),
    }
}

/// The user part.
pub(crate) fn user(uri: &str) -> &str {
    let rest = uri.strip_prefix("sip:").unwrap_or(uri);
    rest.split_once('@').map_or("", |(user, _)| user)
}

/// The literal address of a SIP URI.
pub(crate) fn address(uri: &str) -> Option<SocketAddr> {
    let rest = uri.strip_prefix("sip:")?;
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?']).next().unwrap_or(host);
    match host.parse() {
        Ok(address) => Some(address),
        Err(_) => Some(SocketAddr::new(host.parse().ok()?, 5060)),
    }
}

/// One parameter of a challenge.
pub(crate) fn challenge<'a>(value: &'a str, name: &str) -> &'a str {
    let rest = value.strip_prefix("Digest ").unwrap_or(value);
    rest.split(", ")
        .filter_map(|part| part.split_once('='))
        .find(|(known, _)| *known == name)
        .map_or("", |(_, value)| value.trim_matches('"'))
}

/// Where an SDP wants its audio, and its direction.
pub(crate) fn audio(sdp: &str) -> (Option<SocketAddr>, &str) {
    let line = |start: &str| sdp.lines().filter_map(|line| line.strip_prefix(start)).next_back();
    let ip = line("c=IN IP4 ").and_then(|ip| ip.trim().parse().ok());
    let port = line("m=audio ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let direction = ["sendonly", "recvonly", "inactive"]
        .into_iter()
        .find(|word| sdp.lines().any(|line| line.strip_prefix("a=") == Some(word)))
        .unwrap_or("sendrecv");
    (ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port)), direction)
}
