//! Passing messages on: RFC 3261 sections 16.6 and 16.7. Header lines that nobody touches are
//! copied in runs, byte for byte and in order.

use super::list::Values;
use super::name::Name;
use super::text::{is_uri, trim};
use super::view::{Line, Message};
use super::write::{
    Amendment, Folds, after_value, write_content_length, write_header, write_headers, write_number, write_one_line,
    write_top_via_line,
};
use std::net::SocketAddr;

/// What changes in a request on its way.
#[derive(Clone, Copy)]
pub struct Forward<'a> {
    /// The new Request-URI.
    pub uri: &'a [u8],
    /// The value of our Via, put on top.
    pub via: &'a [u8],
    /// Where the request came from, for `received` and `rport` in the former topmost Via.
    pub source: SocketAddr,
    /// The new Max-Forwards.
    pub max_forwards: u8,
    /// Record-Route values put on top, in this order.
    pub record_routes: &'a [&'a [u8]],
    /// How many Route values to remove from the top, across lines and commas.
    pub drop_routes: usize,
    /// Route values put before the remaining ones, in this order.
    pub routes: &'a [&'a [u8]],
    /// Says of each other line whether it is removed. Not asked about Via, Max-Forwards and
    /// Content-Length.
    pub remove: &'a dyn Fn(&Line<'_>) -> bool,
    /// Headers added at the end. Line ends in values become spaces.
    pub add: &'a [(&'a str, &'a [u8])],
    /// Replaces the body.
    pub body: Option<&'a [u8]>,
}

impl Forward<'_> {
    /// Appends the request as it is passed on. It always has a Content-Length, since it may
    /// leave on a stream.
    pub fn write(&self, out: &mut Vec<u8>, request: &Message<'_>) {
        debug_assert!(
            self.uri.iter().all(|&octet| is_uri(octet)),
            "parse the URI before forwarding to it"
        );
        out.extend_from_slice(request.method_text());
        out.push(b' ');
        out.extend_from_slice(self.uri);
        out.extend_from_slice(b" SIP/2.0\r\nVia: ");
        write_one_line(out, self.via);
        out.extend_from_slice(b"\r\nMax-Forwards: ");
        write_number(out, u64::from(self.max_forwards));
        out.extend_from_slice(b"\r\n");
        self.record_routes
            .iter()
            .for_each(|route| write_headers(out, &[(Name::RecordRoute.text(), route)]));
        self.routes
            .iter()
            .for_each(|route| write_headers(out, &[(Name::Route.text(), route)]));

        let top = request.via();
        let mut amendment = Amendment::of(&top, self.source);
        let mut drop_routes = self.drop_routes;
        let mut has_length = false;
        let mut runs = Runs::new(request);
        for line in request.lines() {
            match line.name {
                Name::Via if amendment.is_some() => {
                    runs.replace(out, &line);
                    write_top_via_line(out, runs.folds, &top, line.value, amendment.take());
                }
                Name::MaxForwards => runs.replace(out, &line),
                Name::ContentLength if self.body.is_some() => runs.replace(out, &line),
                Name::ContentLength => {
                    has_length = true;
                    runs.keep(&line);
                }
                Name::Via => runs.keep(&line),
                _ if (self.remove)(&line) => runs.replace(out, &line),
                Name::Route if drop_routes > 0 => {
                    runs.replace(out, &line);
                    drop_routes = write_routes_after(out, runs.folds, line.value, drop_routes);
                }
                _ => runs.keep(&line),
            }
        }
        runs.finish(out);
        write_headers(out, self.add);
        let body = self.body.unwrap_or(request.body());
        if !has_length {
            write_content_length(out, body.len());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
    }
}

/// Appends a response without its topmost Via value; the rest is copied byte for byte.
pub fn forward_response(out: &mut Vec<u8>, response: &Message<'_>) {
    let mut runs = Runs::new(response);
    runs.folds.copy(out, response.start_line());
    for line in response.lines() {
        if line.name == Name::Via {
            runs.replace(out, &line);
            let rest = after_value(line.value, response.via().raw);
            if Values::new(rest).next().is_some() {
                write_header(out, runs.folds, Name::Via, rest);
            }
            break;
        }
        runs.keep(&line);
    }
    runs.flush(out, runs.blank);
    if response.header(Name::ContentLength).is_none() {
        write_content_length(out, response.body().len());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(response.body());
}

/// Writes what is left of a Route line when up to `drop` values are taken from its front;
/// returns how many are still to be taken.
fn write_routes_after(out: &mut Vec<u8>, folds: Folds, line: &[u8], mut drop: usize) -> usize {
    let mut values = Values::new(line);
    while drop > 0 && values.next().is_some() {
        drop -= 1;
    }
    let rest = trim(values.rest());
    if Values::new(rest).next().is_some() {
        write_header(out, folds, Name::Route, rest);
    }
    drop
}

/// Copies runs of untouched lines. Header lines lie one after the other without gaps.
struct Runs<'a> {
    bytes: &'a [u8],
    folds: Folds,
    /// Where the run of untouched lines began.
    start: usize,
    /// Where the next line begins.
    position: usize,
    blank: usize,
}

impl<'a> Runs<'a> {
    fn new(message: &Message<'a>) -> Self {
        let start = message.start_line().len();
        Runs {
            bytes: message.bytes(),
            folds: Folds::of(message),
            start,
            position: start,
            blank: message.blank(),
        }
    }

    fn keep(&mut self, line: &Line<'_>) {
        self.position += line.raw.len();
    }

    /// Leaves the line out; the caller writes something else, or nothing.
    fn replace(&mut self, out: &mut Vec<u8>, line: &Line<'_>) {
        self.flush(out, self.position);
        self.position += line.raw.len();
        self.start = self.position;
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        debug_assert!(self.position == self.blank, "lines have gaps");
        self.flush(out, self.blank);
    }

    fn flush(&mut self, out: &mut Vec<u8>, end: usize) {
        self.folds.copy(out, self.bytes.get(self.start..end).unwrap_or(&[]));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Carrier, Spans, parse};
    use super::*;

    const REQUEST: &str = "INVITE sip:a@b SIP/2.0\r\nX-First :  1\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
        Route: <sip:r1;lr> , <sip:r2;lr>\r\nmax-forwards: 70\r\nRoute:\r\n <sip:r3;lr>\r\nFrom: <sip:c@d>;tag=f\r\n\
        To: <sip:a@b>\r\nCall-ID: i\r\nCSeq: 3 INVITE\r\nP-Asserted-Identity: <sip:evil@x>\r\nl: 2\r\nX-Last: 2\r\n\r\nhi";

    fn plain<'a>() -> Forward<'a> {
        Forward {
            uri: b"sip:new@host",
            via: b"SIP/2.0/TCP us;branch=z9hG4bKnew",
            source: "192.0.2.1:5060".parse().expect("an address"),
            max_forwards: 69,
            record_routes: &[],
            drop_routes: 0,
            routes: &[],
            remove: &|_| false,
            add: &[],
            body: None,
        }
    }

    fn forwarded(request: &str, forward: &Forward<'_>) -> String {
        let mut spans = Spans::default();
        let message = parse(request.as_bytes(), &mut spans, Carrier::Datagram).expect("a request");
        let mut out = Vec::new();
        forward.write(&mut out, &message);
        let mut spans = Spans::default();
        let again = parse(&out, &mut spans, Carrier::Stream).expect("our request parses");
        assert_eq!(again.max_forwards(), Some(forward.max_forwards));
        assert_eq!(again.via().raw, forward.via);
        String::from_utf8(out).expect("text")
    }

    fn lines<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        text.split("\r\n").filter_map(|line| line.strip_prefix(name)).collect()
    }

    #[test]
    fn untouched_lines_stay_as_they_are() {
        assert_eq!(
            forwarded(REQUEST, &plain()),
            "INVITE sip:new@host SIP/2.0\r\nVia: SIP/2.0/TCP us;branch=z9hG4bKnew\r\nMax-Forwards: 69\r\nX-First :  1\r\n\
             Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nRoute: <sip:r1;lr> , <sip:r2;lr>\r\nRoute:\r\n <sip:r3;lr>\r\n\
             From: <sip:c@d>;tag=f\r\nTo: <sip:a@b>\r\nCall-ID: i\r\nCSeq: 3 INVITE\r\n\
             P-Asserted-Identity: <sip:evil@x>\r\nl: 2\r\nX-Last: 2\r\n\r\nhi"
        );
    }

    #[test]
    fn routes_are_dropped_across_lines_and_commas() {
        let all = ["<sip:r1;lr>", "<sip:r2;lr>", "<sip:r3;lr>"];
        for drop_routes in [0, 1, 2, 3, 9] {
            let text = forwarded(REQUEST, &Forward { drop_routes, ..plain() });
            let mut spans = Spans::default();
            let message = parse(text.as_bytes(), &mut spans, Carrier::Stream).expect("a request");
            let left: Vec<&[u8]> = message.values(Name::Route).collect();
            let want: Vec<&[u8]> = all.iter().skip(drop_routes).map(|route| route.as_bytes()).collect();
            assert_eq!(left, want, "{text}");
        }
        let pushed = Forward {
            drop_routes: 1,
            routes: &[b"<sip:p1;lr>", b"<sip:p2;lr>"],
            record_routes: &[b"<sip:us;lr>"],
            ..plain()
        };
        let text = forwarded(REQUEST, &pushed);
        assert_eq!(lines(&text, "Route: "), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:r2;lr>"]);
        assert_eq!(lines(&text, "Record-Route: "), ["<sip:us;lr>"]);
    }

    #[test]
    fn the_former_top_via_tells_the_source() {
        let text = forwarded(
            REQUEST,
            &Forward {
                source: "192.0.2.7:9".parse().expect("an address"),
                ..plain()
            },
        );
        assert_eq!(
            lines(&text, "Via: ")[1],
            "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;received=192.0.2.7"
        );
    }

    #[test]
    fn removed_added_and_a_new_body() {
        let changed = Forward {
            remove: &|line| line.name == Name::PAssertedIdentity,
            add: &[("P-Asserted-Identity", b"<sip:c@d>")],
            body: Some(b"other"),
            ..plain()
        };
        let text = forwarded(REQUEST, &changed);
        assert_eq!(lines(&text, "P-Asserted-Identity: "), ["<sip:c@d>"]);
        assert!(
            text.ends_with("\r\nContent-Length: 5\r\n\r\nother") && !text.contains("l: 2"),
            "{text}"
        );
        let text = forwarded(&REQUEST.replace("l: 2\r\n", ""), &plain());
        assert!(text.ends_with("X-Last: 2\r\nContent-Length: 2\r\n\r\nhi"), "{text}");
        let text = forwarded(&REQUEST.replace("\r\n", "\n"), &plain());
        assert!(!text.replace("\r\n", "").contains('\n'), "{text}");
    }

    #[test]
    fn responses_lose_their_top_via() {
        let response = |vias: &str| {
            let text = format!(
                "SIP/2.0 180 Ringing\r\nX: 1\r\n{vias}From: <sip:c@d>;tag=f\r\nTo: <sip:a@b>;tag=t\r\nCall-ID: i\r\nCSeq: 3 INVITE\r\nl: 0\r\n\r\n"
            );
            let mut spans = Spans::default();
            let message = parse(text.as_bytes(), &mut spans, Carrier::Datagram).expect("a response");
            let mut out = Vec::new();
            forward_response(&mut out, &message);
            String::from_utf8(out).expect("text")
        };
        let rest = "From: <sip:c@d>;tag=f\r\nTo: <sip:a@b>;tag=t\r\nCall-ID: i\r\nCSeq: 3 INVITE\r\nl: 0\r\n\r\n";
        let head = "SIP/2.0 180 Ringing\r\nX: 1\r\n";
        assert_eq!(
            response("Via: SIP/2.0/UDP us\r\nv: SIP/2.0/UDP h\r\n"),
            format!("{head}v: SIP/2.0/UDP h\r\n{rest}")
        );
        assert_eq!(
            response("v: SIP/2.0/UDP us,SIP/2.0/UDP h;a=\",\"\r\n"),
            format!("{head}Via: SIP/2.0/UDP h;a=\",\"\r\n{rest}")
        );
        assert_eq!(response("Via: SIP/2.0/UDP us\r\n"), format!("{head}{rest}"));
    }
}
