//! From a description to facts, and from decisions to a description.

use super::Media;
use super::call::Facts;
use super::flow::Clocks;
use super::latch::{self, Latch};
use super::types::{CallMedia, Seen, Side};
use crate::config::plan::Learn;
use crate::protocol::rtp;
use crate::protocol::sdp::rewrite::{self, Mux, Replacement};
use crate::protocol::sdp::{MAX_MEDIA, Sdp, Section};
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl Media {
    /// What each line of a description says, refused ones as [`Facts::NONE`].
    pub(super) fn facts(&self, sdp: &Sdp<'_>, seen: Seen<'_>) -> [Facts; MAX_MEDIA] {
        let mut all = [Facts::NONE; MAX_MEDIA];
        for (facts, section) in all.iter_mut().zip(sdp.sections()) {
            if section.port != 0 {
                *facts = self.line_facts(section, seen.signalling);
            }
        }
        all
    }

    /// Our own addresses are a target only of those who speak from this very host: other programs
    /// have ports there too (CVE-2020-26262).
    fn is_a_neighbour(&self, ip: IpAddr, signalling: IpAddr) -> bool {
        let (ip, signalling) = (ip.to_canonical(), signalling.to_canonical());
        let mut own = self.advertised.iter().flat_map(|&(bound, shown)| [bound, shown]);
        ip == signalling || signalling.is_loopback() || own.all(|own| own.to_canonical() != ip)
    }

    fn line_facts(&self, section: &Section<'_>, signalling: IpAddr) -> Facts {
        let mux = section.rtcp_mux && section.carriage.is_rtp();
        let (rtcp_port, rtcp_ip) = section.rtcp.unwrap_or((section.port.wrapping_add(1), None));
        let latch = |ip: Option<IpAddr>, port: u16| {
            let described = SocketAddr::new(ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port);
            let usable = port != 0
                && latch::is_usable(described.ip(), signalling)
                && self.is_a_neighbour(described.ip(), signalling)
                && !self.ports.is_own(described);
            let candidate = match self.learn {
                Learn::Never => None,
                Learn::Nat => latch::candidate(ip, signalling),
            };
            Latch::new(described, usable, candidate)
        };
        let mut clocks = Clocks::NONE;
        let bit = |payload_type: u8| section.payload_types & 1 << payload_type != 0;
        (0..35)
            .filter(|&known| bit(known))
            .for_each(|known| clocks.set(known, rtp::static_clock(known)));
        let maps = section.rtpmaps().filter(|&(payload_type, ..)| bit(payload_type));
        maps.for_each(|(payload_type, _, rate)| clocks.set(payload_type, rate));
        Facts {
            carriage: section.carriage,
            direction: section.meant_direction(),
            held: section.is_held_by_address(),
            mux,
            formats: section.payload_types,
            clocks,
            rtp: latch(section.address, section.port),
            rtcp: latch(rtcp_ip.or(section.address), rtcp_port),
        }
    }

    /// What each line shows to `side`; `rule` gives whether it is carried and what becomes of mux.
    pub(super) fn replacements<'a>(
        &mut self,
        call: &CallMedia,
        side: Side,
        sections: &'a [Section<'a>],
        rule: impl Fn(&Facts, &'a Section<'a>) -> (bool, Mux, &'a Section<'a>),
    ) -> [Replacement; MAX_MEDIA] {
        let refused = Replacement {
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: 0,
            mux: Mux::Keep,
            direction: None,
        };
        let mut all = [refused; MAX_MEDIA];
        let Some(record) = self.calls.get_mut(call) else {
            return all;
        };
        for ((new, stream), section) in all.iter_mut().zip(&record.streams).zip(sections) {
            let (carried, mux, section) = rule(&stream.offer, section);
            let slot = stream.slots.get(side.index()).copied().flatten().filter(|_| carried);
            let Some(address) = slot.and_then(|slot| self.ports.address(slot)) else {
                continue;
            };
            let shown = self.advertised.iter().find(|(bound, _)| *bound == address.ip());
            *new = Replacement {
                address: shown.map_or(address.ip(), |(_, shown)| *shown),
                port: address.port(),
                mux,
                direction: section.is_held_by_address().then(|| section.meant_direction()),
            };
        }
        all
    }

    /// Writes a description for `side` with our origin; its version rises when the text changes.
    pub(super) fn write(
        &mut self,
        call: &CallMedia,
        side: Side,
        sdp: &Sdp<'_>,
        lines: &[Replacement],
        out: &mut Vec<u8>,
    ) {
        let origin = self.origin(lines);
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        rewrite::body(&mut text, sdp, origin, lines);
        self.write_text(call, side, origin, &text, out);
        self.scratch = text;
    }

    /// Appends head and `text`.
    pub(super) fn write_text(&mut self, call: &CallMedia, side: Side, origin: IpAddr, text: &[u8], out: &mut Vec<u8>) {
        let mut hasher = DefaultHasher::new();
        hasher.write(text);
        let hash = hasher.finish() | 1;
        let Some(shown) = self
            .calls
            .get_mut(call)
            .and_then(|record| record.shown.get_mut(side.index()))
        else {
            return;
        };
        if shown.text != hash {
            // RFC 3264 section 8: one more than before.
            shown.version += u64::from(shown.text != 0);
            shown.text = hash;
        }
        rewrite::head(out, shown.session, shown.version, origin);
        out.extend_from_slice(text);
    }

    /// The address for `o=`: the first line's, or our first.
    fn origin(&self, lines: &[Replacement]) -> IpAddr {
        let first = self
            .advertised
            .first()
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |(_, shown)| *shown);
        lines.iter().find(|new| new.port != 0).map_or(first, |new| new.address)
    }
}
