//! What one REGISTER does to an AOR's record: RFC 3261 section 10.3 steps 6 and 7, as a pure
//! function from the old record and the request to the new record. All or nothing.

use super::record::{self, Contact, FLOW, KEEP_ALIVE};
use crate::protocol::sip::{Message, Name, NameAddr, Scheme, Uri, params};
use crate::protocol::{Path, Transport};
use crate::switch::site::Site;
use crate::switch::target::qvalue;
use shards::Time;
use std::net::SocketAddr;

/// Why a REGISTER is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Status code.
    pub status: u16,
    /// Reason phrase: says what to do.
    pub phrase: &'static str,
    /// A header with a number (Min-Expires, Retry-After).
    pub header: Option<(&'static str, u32)>,
}

const fn refusal(status: u16, phrase: &'static str) -> Refusal {
    Refusal {
        status,
        phrase,
        header: None,
    }
}

/// The request and what it is judged by.
pub(super) struct Change<'a> {
    /// Policy and our own addresses.
    pub site: &'a Site,
    /// The batch's time.
    pub now: Time,
    /// The REGISTER.
    pub request: &'a Message<'a>,
    /// Where it came from.
    pub path: &'a Path,
    /// The shard has no room for one more binding.
    pub full: bool,
}

/// Most Contact values in one REGISTER, whatever the limit of an AOR is.
const MOST_UPDATES: usize = 16;

/// One Contact value of the request.
struct Update<'a> {
    raw: &'a [u8],
    uri: Uri<'a>,
    /// Granted seconds; 0 removes.
    expires: u32,
    q: u16,
    instance: &'a [u8],
    reg_id: u32,
}

/// The parameters of a Contact that concern a registrar; of each the first counts.
#[derive(Default)]
struct Asks<'a> {
    expires: Option<&'a [u8]>,
    instance: Option<&'a [u8]>,
    reg_id: Option<&'a [u8]>,
    q: Option<&'a [u8]>,
}

impl<'a> Asks<'a> {
    fn of(raw: &'a [u8]) -> Self {
        let mut asks = Self::default();
        for (name, value) in params(raw) {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            let place = match name.len() {
                1 if is(b"q") => &mut asks.q,
                6 if is(b"reg-id") => &mut asks.reg_id,
                7 if is(b"expires") => &mut asks.expires,
                13 if is(b"+sip.instance") => &mut asks.instance,
                _ => continue,
            };
            place.get_or_insert(value.unwrap_or(b""));
        }
        asks
    }
}

impl Change<'_> {
    /// Writes the new record; returns whether anything was asked to change (a request without
    /// Contact only asks).
    ///
    /// # Errors
    /// The answer to give; the old record then stays.
    pub(super) fn apply(&self, before: &[u8], after: &mut Vec<u8>) -> Result<bool, Refusal> {
        let alive = |contact: &Contact<'_>| u64::from(contact.expires) > self.now.seconds();
        let mut values = self.request.values(Name::Contact);
        let Some(first) = values.next() else {
            keep_alive_ones(before, self.now, after);
            return Ok(false);
        };
        if first == b"*" {
            // Section 10.2.2: only alone and with Expires: 0.
            if values.next().is_some() || self.request.expires() != Some(0) {
                return Err(refusal(400, "Contact * needs Expires: 0 and no other Contact"));
            }
            for contact in record::contacts(before).filter(alive) {
                self.check_order(&contact)?;
            }
            return Ok(true);
        }
        let mut updates: [Option<Update<'_>>; MOST_UPDATES] = std::array::from_fn(|_| None);
        let most = MOST_UPDATES.min(usize::from(self.site.plan.limits.contacts));
        for (place, value) in std::iter::once(first).chain(values).enumerate() {
            let update = self.update(value)?;
            match updates.get_mut(place).filter(|_| place < most) {
                Some(free) => *free = Some(update),
                None => return Err(refusal(403, "Too Many Contacts")),
            }
        }
        let updates = || updates.iter().map_while(Option::as_ref);
        let mut kept = 0u16;
        for contact in record::contacts(before).filter(alive) {
            if updates().any(|update| is_same(&contact, update)) {
                self.check_order(&contact)?;
            } else {
                keep(after, &contact);
                kept += 1;
            }
        }
        for (place, update) in updates().enumerate() {
            let repeated = updates().skip(place + 1).any(|later| later.raw == update.raw);
            if update.expires == 0 || repeated {
                continue;
            }
            let known = || record::contacts(before).any(|contact| is_same(&contact, update));
            if self.full && !known() {
                return Err(Refusal {
                    header: Some(("Retry-After", 30)),
                    ..refusal(503, "Registrations At Limit")
                });
            }
            kept += 1;
            if kept > self.site.plan.limits.contacts {
                return Err(refusal(403, "Too Many Contacts"));
            }
            self.bind(after, update)?;
        }
        Ok(true)
    }

    fn update<'v>(&self, value: &'v [u8]) -> Result<Update<'v>, Refusal> {
        let bad = refusal(400, "Bad Contact");
        let address = NameAddr::parse(value).map_err(|_| bad)?;
        let uri = Uri::parse(address.uri).map_err(|_| bad)?;
        if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
            return Err(refusal(400, "Contact Must Be A SIP URI"));
        }
        let policy = &self.site.plan.registrar;
        let asks = Asks::of(address.params);
        // A malformed expires counts as absent (section 10.3 step 7: local default).
        let asked = asks.expires.and_then(number).or_else(|| self.request.expires());
        let expires = match asked {
            None => policy.default_expires,
            Some(0) => 0,
            // Section 10.3: only intervals below an hour may be called too brief.
            Some(seconds) if seconds < policy.min_expires && seconds < 3600 => {
                return Err(Refusal {
                    header: Some(("Min-Expires", policy.min_expires)),
                    ..refusal(423, "Interval Too Brief")
                });
            }
            Some(seconds) => seconds.min(policy.max_expires),
        };
        let instance = asks.instance.unwrap_or(b"");
        // RFC 5626 section 6: reg-id counts only beside an instance.
        let reg_id = asks
            .reg_id
            .and_then(number)
            .filter(|_| !instance.is_empty())
            .unwrap_or(0);
        Ok(Update {
            raw: address.uri,
            uri,
            expires,
            q: asks.q.map_or(1000, qvalue),
            instance,
            reg_id,
        })
    }

    /// Section 10.3 step 7: within one Call-ID the CSeq has to rise.
    fn check_order(&self, contact: &Contact<'_>) -> Result<(), Refusal> {
        if contact.call_id == self.request.call_id() && self.request.cseq().number <= contact.cseq {
            return Err(refusal(500, "CSeq Out Of Order"));
        }
        Ok(())
    }

    fn bind(&self, after: &mut Vec<u8>, update: &Update<'_>) -> Result<(), Refusal> {
        let (path, flags) = self.reach(update)?;
        let route = super::path_of(self.request);
        let contact = Contact {
            uri: update.raw,
            call_id: self.request.call_id(),
            instance: update.instance,
            route: &route,
            agent: self.request.header(Name::UserAgent).unwrap_or(b""),
            path,
            expires: u32::try_from(self.now.seconds() + u64::from(update.expires)).unwrap_or(u32::MAX),
            cseq: self.request.cseq().number,
            reg_id: update.reg_id,
            q: update.q,
            flags,
        };
        if record::push(after, &contact) {
            Ok(())
        } else {
            Err(refusal(400, "Contact Too Long"))
        }
    }

    /// How the phone is reached: over the flow that it registered from, unless its URI shows the
    /// very address that the REGISTER came from; then the URI's port counts.
    fn reach(&self, update: &Update<'_>) -> Result<(Path, u8), Refusal> {
        let flow = (*self.path, FLOW);
        if self.path.transport.is_reliable() || self.request.header(Name::Path).is_some() {
            return Ok(flow);
        }
        let uri = &update.uri;
        if update.reg_id == 0
            && let Some(ip) = uri.host_ip()
            && ip == self.path.peer.ip()
        {
            let transport = match uri.param("transport") {
                Some(text) if text.eq_ignore_ascii_case(b"tcp") => Transport::Tcp,
                _ => Transport::Udp,
            };
            let peer = SocketAddr::new(ip, uri.port.unwrap_or(5060));
            if self.site.is_own_address(peer) {
                return Err(refusal(403, "Contact Points Back At This Server"));
            }
            if let Some(path) = self.site.path_to(transport, peer, Some(self.path.listener)) {
                return Ok((path, 0));
            }
        }
        Ok((flow.0, FLOW | KEEP_ALIVE))
    }
}

/// Writes the bindings of a record that have not expired.
pub(super) fn keep_alive_ones(before: &[u8], now: Time, after: &mut Vec<u8>) {
    record::contacts(before)
        .filter(|contact| u64::from(contact.expires) > now.seconds())
        .for_each(|contact| keep(after, &contact));
}

fn keep(after: &mut Vec<u8>, contact: &Contact<'_>) {
    let fits = record::push(after, contact);
    debug_assert!(fits, "a copy is as long as its original");
}

/// RFC 5626 section 6: instance and reg-id make a binding when both have them; else the URI does.
fn is_same(contact: &Contact<'_>, update: &Update<'_>) -> bool {
    if contact.reg_id != 0 && update.reg_id != 0 {
        return contact.instance == update.instance && contact.reg_id == update.reg_id;
    }
    contact.uri == update.raw || Uri::parse(contact.uri).is_ok_and(|kept| kept.equivalent(&update.uri))
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_parameter_counts() {
        let asks = Asks::of(b";Expires=60;x;+SIP.instance=\"<urn:uuid:1>\";q=0.5;expires=70;reg-id=2;Q=1;reg-ie=3;p=1");
        assert_eq!(
            (asks.expires, asks.instance),
            (Some(&b"60"[..]), Some(&b"<urn:uuid:1>"[..]))
        );
        assert_eq!((asks.reg_id, asks.q), (Some(&b"2"[..]), Some(&b"0.5"[..])));
        assert_eq!(Asks::of(b";q").q, Some(&b""[..]));
        assert_eq!(Asks::of(b"").expires, None);
    }
}
