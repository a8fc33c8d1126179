//! What we put into Record-Route, and what the route set made of it says when it comes back:
//! RFC 3261 sections 16.4, 16.6 step 4 and 16.12.

use super::record::{TOKEN, read_token, write_token};
use crate::protocol::Path;
use crate::protocol::sip::{Message, Name, NameAddr, Uri};
use crate::switch::site::Site;
use crate::switch::slab::Handle;

/// What the Route header of a request says to a proxy, read once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routes<'a> {
    /// How many of the top values name us: one, or two when we stand between two transports.
    pub own: usize,
    /// The call that the first value's user part names.
    pub call: Option<Handle>,
    /// The URI of the first value that does not name us.
    pub next: Option<&'a [u8]>,
}

impl<'a> Routes<'a> {
    /// Reads the header as far as it is of interest here.
    #[must_use]
    pub fn of(site: &Site, request: &Message<'a>) -> Self {
        let mut routes = Self::default();
        for (place, value) in request.values(Name::Route).enumerate() {
            if place < OWN_MOST
                && let Some(call) = as_written(site, value)
            {
                routes.own += 1;
                routes.call = routes.call.or(Some(call));
                continue;
            }
            let Ok(address) = NameAddr::parse(value) else { break };
            if place < OWN_MOST
                && let Ok(uri) = Uri::parse(address.uri)
            {
                if place == 0 {
                    routes.call = read_token(uri.user);
                }
                if site.is_ours(&uri) {
                    routes.own += 1;
                    continue;
                }
            }
            routes.next = Some(address.uri);
            break;
        }
        routes
    }
}

/// How many Route values one proxy adds at most.
const OWN_MOST: usize = 2;

/// Section 16.6 step 4. The user part finds the call again without a look-up.
pub(super) fn record_route(out: &mut Vec<u8>, site: &Site, path: &Path, call: Option<Handle>) {
    let listener = site.listener(path.listener);
    out.extend_from_slice(START);
    if let Some(call) = call {
        write_token(out, call);
        out.push(b'@');
    }
    out.extend_from_slice(&listener.hostport);
    out.extend_from_slice(listener.param.as_bytes());
    out.extend_from_slice(END);
}

/// The call in a value that is, octet for octet, what [`record_route`] wrote; nearly all are, and
/// need not be read like a stranger's.
fn as_written(site: &Site, value: &[u8]) -> Option<Handle> {
    let (token, rest) = value.strip_prefix(START)?.split_at_checked(TOKEN)?;
    let place = rest.strip_prefix(b"@")?.strip_suffix(END)?;
    let ours = site.listeners.iter().any(|listener| {
        let param = place.strip_prefix(&*listener.hostport);
        param.is_some_and(|param| param == listener.param.as_bytes())
    });
    read_token(token).filter(|_| ours)
}

const START: &[u8] = b"<sip:";
const END: &[u8] = b";lr>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Transport;
    use crate::protocol::sip::{Carrier, Spans, parse};
    use shards::{ConnId, ListenerId};

    /// What a stranger's reader finds in our value is what is found by recognising it.
    #[test]
    fn our_value_reads_the_same_in_any_spelling() {
        let mut plan = crate::config::demonstration("nowhere".into(), Vec::new());
        let address = "192.0.2.1:5060".parse().unwrap();
        plan.sip.listeners.truncate(1);
        let site = Site::new(plan, &[address], crate::switch::keyed::Keyed::new([7; 32]));
        let path = Path {
            transport: Transport::Udp,
            listener: ListenerId(0),
            peer: "192.0.2.9:5060".parse().unwrap(),
            conn: ConnId::NONE,
        };
        let call = Handle {
            index: 0x12ab,
            generation: 7,
        };
        let mut value = Vec::new();
        record_route(&mut value, &site, &path, Some(call));
        let ours = String::from_utf8(value).unwrap();
        assert_eq!(as_written(&site, ours.as_bytes()), Some(call));
        let spelt = ours.replace(";lr", ";x;lr");
        assert_eq!(as_written(&site, spelt.as_bytes()), None);
        let stranger = "<sip:0000000000000000@192.0.2.7:5060;lr>";
        assert_eq!(as_written(&site, stranger.as_bytes()), None);
        for (routes, own, named, next) in [
            (ours.clone(), 1, Some(call), None),
            (spelt.clone(), 1, Some(call), None),
            (format!("{ours}, {spelt}, {stranger}"), 2, Some(call), Some(stranger)),
            (format!("{spelt}, {ours}, {ours}"), 2, Some(call), Some(&*ours)),
            (stranger.into(), 0, read_token(b"0000000000000000"), Some(stranger)),
        ] {
            let text = format!(
                "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nRoute: {routes}\r\nFrom: <sip:c@d>;tag=f\r\n\
                 To: <sip:a@b>;tag=t\r\nCall-ID: i\r\nCSeq: 3 BYE\r\n\r\n"
            );
            let mut spans = Spans::default();
            let request = parse(text.as_bytes(), &mut spans, Carrier::Datagram).unwrap();
            let found = Routes::of(&site, &request);
            let next = next.map(|value: &str| value.trim_matches(['<', '>']).as_bytes());
            assert_eq!((found.own, found.call, found.next), (own, named, next), "{routes}");
        }
    }
}
