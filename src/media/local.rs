//! Built-in services as the other end of a call: they answer an offer, or make one (delayed
//! offer), and stand on side B; the peer is side A.

use super::call::{Facts, Stream};
use super::flow::Kind;
use super::music::{Law, Player};
use super::negotiate::{COMFORT_NOISE, clear};
use super::ports::Wanted;
use super::types::{CallMedia, MediaError, Seen, Service, Side};
use super::{Media, Open};
use crate::protocol::sdp::rewrite::{kind, put};
use crate::protocol::sdp::{Carriage, Direction, Sdp, Section};
use rand_chacha::rand_core::Rng;
use shards::{Slot, Time};
use std::net::IpAddr;

/// What the service takes of a line.
#[derive(Clone, Copy, Debug)]
struct Choice {
    /// Index of the line.
    line: usize,
    /// Payload types kept in the answer.
    keep: u128,
    /// What music is sent as.
    music: Option<(Law, u8)>,
}

impl Media {
    /// A built-in service answers `sdp` (side A is the peer), or makes an offer when `sdp` is
    /// empty (its answer comes through [`Media::answer`] from side A, which then writes nothing).
    /// # Errors
    /// As [`Media::offer`]; [`MediaError::NoCodec`] when nothing offered can be served (488).
    #[expect(clippy::too_many_arguments, reason = "one call of the seam, and each is needed")]
    pub fn answer_local(
        &mut self,
        now: Time,
        ports: Open<'_>,
        call: &mut CallMedia,
        service: Service,
        sdp: &[u8],
        seen: Seen<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        self.now = now;
        if sdp.is_empty() {
            return self.offer_local(ports, call, service, seen, out);
        }
        let sdp = Sdp::parse(sdp).map_err(MediaError::Malformed)?;
        let facts = self.facts(&sdp, seen);
        let known = self.local_line(call);
        let choice = choose(&sdp, &facts, service, known).ok_or(MediaError::NoCodec)?;
        self.begin(call, Side::A, sdp.sections().len())?;
        let (Some(facts), Some(section)) = (facts.get(choice.line), sdp.sections().get(choice.line)) else {
            return Err(MediaError::NoCodec);
        };
        let v6 = section.address.map(|ip| ip.is_ipv6());
        let wanted = Wanted {
            addresses: seen.addresses,
            v6,
            rtcp: !facts.mux,
            urgent: seen.urgent,
        };
        if let Err(error) = self.pair(ports, call, choice.line, Side::A, wanted) {
            self.undo(call);
            return Err(error);
        }
        self.drop_others(call, choice.line);
        let direction = facts.direction.reversed();
        self.install_local(call, service, facts, choice, direction);
        self.conclude(call, Side::A);
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        let shown = self.shown(call, choice.line);
        if let Some((address, port)) = shown {
            session(&mut text, address);
            for (line, section) in sdp.sections().iter().enumerate() {
                if line == choice.line {
                    answer_line(&mut text, section, port, choice, facts.mux, direction);
                } else {
                    refused_line(&mut text, section);
                }
            }
            self.write_text(call, Side::A, address, &text, out);
        }
        self.scratch = text;
        Ok(())
    }

    /// The peer's answer to our own offer.
    pub(super) fn answered_by_peer(
        &mut self,
        call: &CallMedia,
        sdp: &Sdp<'_>,
        seen: Seen<'_>,
    ) -> Result<(), MediaError> {
        let facts = self.facts(sdp, seen);
        let record = self.calls.get_mut(call).ok_or(MediaError::NoOffer)?;
        let service = record.service.ok_or(MediaError::NoOffer)?;
        let line = self.local_line(call).ok_or(MediaError::NoOffer)?;
        let choice = choose(sdp, &facts, service, Some(line)).filter(|choice| choice.line == line);
        let (Some(choice), Some(facts)) = (choice, facts.get(line)) else {
            return Err(MediaError::NoCodec);
        };
        // What they send we receive: our direction is at most the reverse of theirs.
        self.install_local(call, service, facts, choice, facts.direction.reversed());
        self.conclude(call, Side::B);
        Ok(())
    }

    fn offer_local(
        &mut self,
        ports: Open<'_>,
        call: &mut CallMedia,
        service: Service,
        seen: Seen<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        let line = self.local_line(call).unwrap_or(0);
        let lines = self.calls.get_mut(call).map_or(1, |record| record.streams.len().max(1));
        self.begin(call, Side::B, lines)?;
        let wanted = Wanted {
            addresses: seen.addresses,
            v6: Some(seen.signalling.is_ipv6()),
            rtcp: true,
            urgent: seen.urgent,
        };
        if let Err(error) = self.pair(ports, call, line, Side::A, wanted) {
            self.undo(call);
            return Err(error);
        }
        self.drop_others(call, line);
        if let Some(record) = self.calls.get_mut(call) {
            record.service = Some(service);
            record.pending = Some(Side::B);
        }
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        if let Some((address, port)) = self.shown(call, line) {
            session(&mut text, address);
            for at in 0..lines {
                if at == line {
                    put(&mut text, format_args!("m=audio {port} RTP/AVP 0 8 101\r\n{OFFERED}"));
                } else {
                    text.extend_from_slice(b"m=audio 0 RTP/AVP 0\r\n");
                }
            }
            self.write_text(call, Side::A, address, &text, out);
        }
        self.scratch = text;
        Ok(())
    }

    /// The line that has our port.
    fn local_line(&mut self, call: &CallMedia) -> Option<usize> {
        let record = self.calls.get_mut(call)?;
        record
            .streams
            .iter()
            .position(|stream| stream.slots[Side::A.index()].is_some())
    }

    /// A service speaks on one line and one side only: what the peer has moved away from, and the
    /// other leg of a call that was relayed before (early media, then the service), rests.
    fn drop_others(&mut self, call: &CallMedia, line: usize) {
        let Some(record) = self.calls.get_mut(call) else { return };
        for (at, stream) in record.streams.iter_mut().enumerate() {
            let [near, far] = &mut stream.slots;
            let near = if at == line { None } else { near.take() };
            for slot in near.into_iter().chain(far.take()) {
                self.music.stop(slot);
                clear(&mut self.flows, slot);
                self.ports.rest(self.now, slot, &mut self.counters);
            }
            if at != line {
                *stream = Stream::NEW;
            }
        }
    }

    fn install_local(&mut self, call: &CallMedia, service: Service, facts: &Facts, choice: Choice, ours: Direction) {
        let Some(record) = self.calls.get_mut(call) else { return };
        record.service = Some(service);
        let Some(stream) = record.streams.get_mut(choice.line) else {
            return;
        };
        stream.directions = [facts.direction, ours];
        (stream.live, stream.was_live) = (true, true);
        let Some(slot) = stream.slots[Side::A.index()] else {
            return;
        };
        let v6 = self.ports.address(slot).is_some_and(|address| address.is_ipv6());
        let (ssrc, sequence, timestamp) = (
            self.random.next_u32(),
            self.random.next_u32() as u16,
            self.random.next_u32(),
        );
        let Some(flow) = self.flows.get_mut(slot) else { return };
        let was_open = flow.state != super::flow::State::Closed;
        flow.negotiated(facts.rtp.from_socket(v6), facts.held);
        flow.held = !matches!(ours, Direction::SendRecv | Direction::SendOnly);
        flow.kind = if service == Service::Echo {
            Kind::Echo
        } else {
            Kind::Sink
        };
        (flow.muxed, flow.allowed, flow.clocks) = (facts.mux, choice.keep | COMFORT_NOISE, facts.clocks);
        (flow.to_slot, flow.rtcp_slot) = (slot, slot);
        if !was_open {
            flow.ssrc = ssrc;
        }
        let ssrc = flow.ssrc;
        self.unpoint(slot);
        self.flows.aim(slot);
        let odd = Slot(slot.0 | 1);
        if let Some(flow) = self.flows.get_mut(odd) {
            // RTCP is looked at for life signs only.
            flow.negotiated(facts.rtcp.from_socket(v6), true);
            (flow.kind, flow.muxed, flow.allowed) = (Kind::Sink, true, 0);
            (flow.to_slot, flow.rtcp_slot) = (odd, odd);
        }
        if let Some((law, payload_type)) = choice.music {
            let player = Player {
                slot,
                law,
                payload_type,
                ssrc,
                sequence,
                timestamp,
                frame: 0,
                marker: true,
            };
            self.music.play(self.now, player);
        }
    }

    /// What a line shows to the peer.
    fn shown(&mut self, call: &CallMedia, line: usize) -> Option<(IpAddr, u16)> {
        let slot = self.calls.get_mut(call)?.streams.get(line)?.slots[Side::A.index()]?;
        let address = self.ports.address(slot)?;
        let shown = self.advertised.iter().find(|(bound, _)| *bound == address.ip());
        Some((shown.map_or(address.ip(), |(_, shown)| *shown), address.port()))
    }
}

/// The line and codecs that a service takes; the line in use is preferred.
fn choose(sdp: &Sdp<'_>, facts: &[Facts], service: Service, known: Option<usize>) -> Option<Choice> {
    let suits = |line: usize| {
        let (section, facts) = (sdp.sections().get(line)?, facts.get(line)?);
        let is_audio = section.media.eq_ignore_ascii_case(b"audio");
        // Keys would have to be our own; not before SRTP is terminated here.
        if !is_audio || facts.carriage != Carriage::Rtp || facts.formats == 0 {
            return None;
        }
        match service {
            Service::Echo => Some(Choice {
                line,
                keep: facts.formats,
                music: None,
            }),
            Service::Music => {
                let (law, payload_type) = law(section)?;
                let keep = 1 << payload_type | events(section);
                Some(Choice {
                    line,
                    keep,
                    music: Some((law, payload_type)),
                })
            }
        }
    };
    known
        .and_then(suits)
        .or_else(|| (0..sdp.sections().len()).find_map(suits))
}

/// The first G.711 format in the peer's order, by static number or by name.
fn law(section: &Section<'_>) -> Option<(Law, u8)> {
    let formats = section
        .formats
        .split(|&octet| octet == b' ')
        .filter(|format| !format.is_empty());
    let numbers = formats.filter_map(|format| crate::protocol::sdp::number(format, 127));
    numbers.map(|number| number as u8).find_map(|format| match format {
        0 => Some((Law::Mu, 0)),
        8 => Some((Law::A, 8)),
        _ => section
            .rtpmaps()
            .filter(|&(mapped, _, rate)| mapped == format && rate == 8_000)
            .find_map(|(_, name, _)| {
                let law = if name.eq_ignore_ascii_case(b"PCMU") {
                    Law::Mu
                } else if name.eq_ignore_ascii_case(b"PCMA") {
                    Law::A
                } else {
                    return None;
                };
                Some((law, format))
            }),
    })
}

/// The telephone-event formats at 8,000 Hz (RFC 4733).
fn events(section: &Section<'_>) -> u128 {
    let maps = section
        .rtpmaps()
        .filter(|(_, name, rate)| name.eq_ignore_ascii_case(b"telephone-event") && *rate == 8_000);
    maps.fold(0, |set, (format, ..)| set | 1 << format) & section.payload_types
}

fn session(text: &mut Vec<u8>, address: IpAddr) {
    put(
        text,
        format_args!("s=-\r\nc=IN {} {address}\r\nt=0 0\r\n", kind(address)),
    );
}

fn answer_line(text: &mut Vec<u8>, section: &Section<'_>, port: u16, choice: Choice, mux: bool, direction: Direction) {
    text.extend_from_slice(b"m=audio ");
    put(text, format_args!("{port} "));
    text.extend_from_slice(section.proto);
    let kept =
        |format: &[u8]| crate::protocol::sdp::number(format, 127).is_some_and(|number| choice.keep >> number & 1 == 1);
    for format in section
        .formats
        .split(|&octet| octet == b' ')
        .filter(|format| kept(format))
    {
        text.push(b' ');
        text.extend_from_slice(format);
    }
    text.extend_from_slice(b"\r\n");
    for (name, value) in section.attributes() {
        let Some(value) = value else { continue };
        let of_format =
            matches!(name, b"rtpmap" | b"fmtp") && kept(value.split(|&octet| octet == b' ').next().unwrap_or(&[]));
        let of_line = choice.music.is_none() && matches!(name, b"ptime" | b"maxptime");
        if of_format || of_line {
            text.extend_from_slice(b"a=");
            text.extend_from_slice(name);
            text.push(b':');
            text.extend_from_slice(value);
            text.extend_from_slice(b"\r\n");
        }
    }
    if choice.music.is_some() {
        text.extend_from_slice(b"a=ptime:20\r\n");
    }
    if mux {
        text.extend_from_slice(b"a=rtcp-mux\r\n");
    }
    put(text, format_args!("a={}\r\n", direction.text()));
}

fn refused_line(text: &mut Vec<u8>, section: &Section<'_>) {
    text.extend_from_slice(b"m=");
    text.extend_from_slice(section.media);
    text.extend_from_slice(b" 0 ");
    text.extend_from_slice(section.proto);
    text.push(b' ');
    text.extend_from_slice(if section.formats.is_empty() {
        b"0"
    } else {
        section.formats
    });
    text.extend_from_slice(b"\r\n");
}

/// What our own offers say after the `m=` line.
const OFFERED: &str = "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";
