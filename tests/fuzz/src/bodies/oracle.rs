//! Differential: where rsip reads a message too, both must have read the same.

use super::message::show;
use ringfort::protocol::sip::{Carrier, Message, Name, Spans, parse};

/// What is compared.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    /// Method of a request.
    pub method: Option<String>,
    /// Status of a response.
    pub status: Option<u16>,
    /// Call-ID.
    pub call_id: String,
    /// CSeq.
    pub cseq: (u32, String),
    /// Tag of From.
    pub from_tag: Option<String>,
    /// Tag of To.
    pub to_tag: Option<String>,
    /// Branch of the topmost Via.
    pub branch: Option<String>,
    /// Octets of the body.
    pub body: usize,
}

/// Its name, and whether it is in a message.
type Difference = (&'static str, fn(&[u8], &Message<'_>) -> bool);

/// Where both readers are known to differ, and why ours is right; a message of such a kind is
/// not compared.
const KNOWN: [Difference; 13] = [
    // Section 7.3.1: a fold is one space. The oracles end the header there or read two lines.
    ("folded lines", |octets, _| {
        octets.windows(2).any(|pair| matches!(pair, [b'\n', b' ' | b'\t']))
    }),
    // Section 7.5 allows line ends before a message, and datagrams with bare LF are read
    // leniently; the oracles split lines in other ways.
    ("bare line ends", |octets, _| {
        octets.starts_with(b"\r") || octets.starts_with(b"\n") || bare_line_end(octets)
    }),
    // Section 18.3: what follows Content-Length octets is not part of the message; the oracles
    // take the whole datagram for the body.
    ("octets after the body", |octets, message| {
        !octets.ends_with(message.bytes()) || message.bytes().len() != octets.len()
    }),
    // Section 7.3.3: compact forms are the same header; an oracle that does not know them sees
    // none, or a later one.
    ("compact forms", |_, message| {
        message
            .lines()
            .any(|line| line.name != Name::Other && line.name_text.len() == 1)
    }),
    // Section 7.3.1 and 20.42: several Via values in one line.
    ("several values in a Via line", |_, message| {
        message.header(Name::Via).is_some_and(|line| line.contains(&b','))
    }),
    // Section 25.1: a quoted string may hold what looks like parameters or an address.
    ("quoted strings", |_, message| {
        [Name::From, Name::To, Name::Via]
            .into_iter()
            .any(|name| message.header(name).is_some_and(|line| line.contains(&b'"')))
    }),
    // Section 25.1: LWS may stand around separators; the oracles keep or refuse it.
    ("white space around separators", |_, message| {
        [Name::From, Name::To, Name::Via, Name::CSeq, Name::CallId]
            .into_iter()
            .any(|name| message.header(name).is_some_and(spaced))
    }),
    // Section 19.3: a tag is a token; an octet that is not ASCII is replaced by the oracles.
    ("octets beyond ASCII", |_, message| !message.bytes().is_ascii()),
    // Section 8.1.1: parameters of a URI without angle brackets are the header's (20.10); the
    // oracles give them to the URI.
    ("addresses without angle brackets", |_, message| {
        [Name::From, Name::To]
            .into_iter()
            .any(|name| message.header(name).is_some_and(|line| !line.contains(&b'<')))
    }),
    // Section 25.1: no header holds a control character but HTAB. We pass one on in a place that means
    // nothing to us; rsip ends the parameter there.
    ("control characters", |_, message| {
        message
            .lines()
            .any(|line| line.value.iter().any(|octet| *octet < b' ' || *octet == 0x7f))
    }),
    // Section 25.1: a parameter's name and value are tokens, or the value is quoted. We pass a branch that is none
    // on as it came, so that its maker knows it again, and read on behind others; rsip cuts it, or stops there.
    ("parameters that are no tokens", |_, message| {
        [Name::From, Name::To, Name::Via].into_iter().any(|name| {
            let line = message.header(name).unwrap_or_default();
            let params = line.rsplit(|octet| *octet == b'>').next().unwrap_or_default();
            let strange = |part: &[u8]| {
                part.splitn(2, |octet| *octet == b'=')
                    .any(|text| !text.iter().all(is_token))
            };
            params.split(|octet| *octet == b';').skip(1).any(strange)
        })
    }),
    // Section 7.1: a method's case counts; rsipstack takes `InvITE` for `INVITE`.
    ("methods in small letters", |_, message| {
        message.cseq().method.iter().any(u8::is_ascii_lowercase)
    }),
    // Section 18.3: without Content-Length a datagram's body goes to its end; rsipstack takes none.
    ("bodies without Content-Length", |_, message| {
        message.header(Name::ContentLength).is_none() && !message.body().is_empty()
    }),
];

fn is_token(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(octet)
}

fn bare_line_end(octets: &[u8]) -> bool {
    let head = octets
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(octets, |end| &octets[..end + 4]);
    head.iter().enumerate().any(|(at, octet)| match octet {
        b'\n' => at == 0 || head[at - 1] != b'\r',
        b'\r' => head.get(at + 1) != Some(&b'\n'),
        _ => false,
    })
}

fn spaced(line: &[u8]) -> bool {
    line.contains(&b'\t')
        || line.windows(2).any(|pair| {
            matches!(
                pair,
                [b' ', b';' | b'=' | b':' | b'/' | b' ' | b'>'] | [b';' | b'=' | b':' | b'<' | b'>', b' ']
            )
        })
}

/// Compares when we accept the message and no known difference is in it; `theirs` gives `None`
/// when the oracle cannot read it. Says whether it was compared.
pub fn compare(octets: &[u8], theirs: impl FnOnce() -> Option<Read>) -> bool {
    let mut spans = Spans::default();
    let Ok(message) = parse(octets, &mut spans, Carrier::Datagram) else {
        return false;
    };
    if KNOWN.iter().any(|(_, is)| is(octets, &message)) {
        return false;
    }
    let Some(theirs) = theirs() else { return false };
    let ours = Read {
        method: message.is_request().then(|| show(message.method_text())),
        status: (!message.is_request()).then(|| message.status()),
        call_id: show(message.call_id()),
        cseq: (message.cseq().number, show(message.cseq().method)),
        from_tag: Some(show(message.from_tag())).filter(|tag| !tag.is_empty()),
        to_tag: message.to_tag().map(show),
        branch: message.via().branch.map(show),
        body: message.body().len(),
    };
    assert_eq!(ours, theirs, "{}", show(octets));
    true
}

/// How a crate of rsip's family reads a message; `Read` has to be in scope.
#[macro_export]
macro_rules! reader {
    ($($rsip:ident)::+, $octets:expr) => {{
        use $($rsip)::+ as sip;
        #[allow(unused_imports, reason = "rsip has its methods in a trait, rsipstack in the types")]
        use sip::prelude::{HeadersExt as _, ToTypedHeader as _, UntypedHeader as _};
        let read = |octets: &[u8]| -> Option<Read> {
            let message = sip::SipMessage::try_from(octets).ok()?;
            let cseq = message.cseq_header().ok()?.typed().ok()?;
            let from = message.from_header().ok()?.typed().ok()?;
            let to = message.to_header().ok()?.typed().ok()?;
            let via = message.via_header().ok()?.typed().ok()?;
            let (method, status, body) = match &message {
                sip::SipMessage::Request(request) => (Some(request.method.to_string()), None, request.body.len()),
                sip::SipMessage::Response(response) => (None, Some(response.status_code.code()), response.body.len()),
            };
            Some(Read {
                method,
                status,
                call_id: message.call_id_header().ok()?.value().to_owned(),
                cseq: (cseq.seq, cseq.method.to_string()),
                from_tag: from.tag().map(|tag| tag.value().to_owned()),
                to_tag: to.tag().map(|tag| tag.value().to_owned()),
                branch: via.branch().map(|branch| branch.value().to_owned()),
                body,
            })
        };
        read($octets)
    }};
}

pub(super) fn rsip(octets: &[u8]) {
    compare(octets, || reader!(rsip, octets));
}
