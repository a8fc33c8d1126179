//! The best final response of a fork, RFC 3261 section 16.7 steps 4 to 8.

use super::{Forwarding, reply_stored};
use crate::protocol::sip::{Message, Name, forward_response};
use crate::switch::core::Turn;
use crate::switch::target::Hunt;
use shards::Buf;

/// The best one so far, ready to be sent, and the challenges of the others.
#[derive(Debug, Default)]
pub(super) struct Best {
    status: u16,
    octets: Buf,
    challenges: Buf,
    /// Whether some branch failed otherwise than by a dead next hop.
    alive: bool,
    declined: bool,
}

impl Best {
    /// A branch's final response.
    pub(super) fn offer(&mut self, turn: &mut Turn<'_, '_>, response: &Message<'_>) {
        let status = response.status();
        self.note(status, true);
        if matches!(status, 401 | 407) {
            self.gather(response);
        }
        if rank(status) < rank(self.status) {
            let mut octets = turn.core.scratch.take();
            forward_response(&mut octets, response);
            self.octets = octets.as_slice().into();
            self.status = status;
            turn.core.scratch.give(octets);
        }
    }

    /// A branch that failed without a response: 408 for a timeout, 503 for the transport.
    pub(super) fn offer_status(&mut self, status: u16) {
        self.note(status, false);
        if rank(status) < rank(self.status) {
            self.octets = Buf::new();
            self.status = status;
        }
    }

    fn note(&mut self, status: u16, answered: bool) {
        self.declined |= status >= 600;
        self.alive |= answered && !matches!(status, 500 | 502 | 503 | 504);
    }

    /// A branch answered with a redirection that is followed: `found` when there is somebody to try,
    /// whose silence then counts anew.
    pub(super) fn redirected(&mut self, found: bool) {
        self.alive = !found;
    }

    /// Whether another group may be tried.
    pub(super) fn may_hunt(&self, hunt: Hunt) -> bool {
        !self.declined && (hunt == Hunt::Any || !self.alive)
    }

    /// Section 16.7 step 7: all challenges go into the one response.
    fn gather(&mut self, response: &Message<'_>) {
        for line in response
            .lines()
            .filter(|line| matches!(line.name, Name::WwwAuthenticate | Name::ProxyAuthenticate))
        {
            if self.challenges.len() + line.raw.len() < 8192 {
                self.challenges.extend_from_slice(line.raw);
            }
        }
    }

    /// Sends it (or 487 after CANCEL, 480 when nobody was there to ask); returns the status.
    pub(super) fn send(&self, turn: &mut Turn<'_, '_>, entry: &Forwarding) -> u16 {
        // Step 6: a 503 would keep the caller from asking us at all; it says nothing about us.
        let status = match self.status {
            0 if entry.cancelled => 487,
            0 => 480,
            503 => 500,
            408 if entry.cancelled => 487,
            status => status,
        };
        if self.octets.is_empty() || status != self.status {
            reply_stored(turn, entry.server, &entry.path, status, &[]);
            return status;
        }
        if matches!(status, 401 | 407) {
            let mut octets = turn.core.scratch.take();
            self.with_challenges(&mut octets);
            turn.respond_octets(entry.server, entry.method, status, &octets);
            turn.core.scratch.give(octets);
        } else {
            turn.respond_octets(entry.server, entry.method, status, &self.octets);
        }
        status
    }

    /// The best response with its own challenges replaced by all that were gathered.
    fn with_challenges(&self, out: &mut Vec<u8>) {
        let is_challenge = |line: &[u8]| {
            [&b"www-authenticate"[..], b"proxy-authenticate"].iter().any(|name| {
                line.get(..name.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(name))
            })
        };
        let mut skipping = false;
        let mut inserted = false;
        let mut in_body = false;
        for line in self.octets.split_inclusive(|&octet| octet == b'\n') {
            if !in_body {
                let continued = matches!(line.first(), Some(b' ' | b'\t'));
                skipping = if continued { skipping } else { is_challenge(line) };
                if line == b"\r\n" && !inserted {
                    out.extend_from_slice(&self.challenges);
                    inserted = true;
                    in_body = true;
                }
                if skipping {
                    continue;
                }
            }
            out.extend_from_slice(line);
        }
    }
}

/// Lower is better. 6xx ends the search; then the lowest class; within 4xx those that the caller
/// can do something about (section 16.7 step 6).
fn rank(status: u16) -> u16 {
    match status {
        0 => u16::MAX,
        600.. => 0,
        401 | 407 => 400,
        415 | 420 | 484 => 401,
        // A branch that timed out says less than one that answered.
        408 => 499,
        400..=499 => 402,
        status => status / 100 * 100,
    }
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn the_order_of_the_rfc() {
        let mut statuses = [503, 408, 404, 407, 302, 603, 486, 500];
        statuses.sort_by_key(|&status| rank(status));
        assert_eq!(statuses, [603, 302, 407, 404, 486, 408, 503, 500]);
    }
}
