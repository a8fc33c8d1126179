//! The media plane: offers and answers (RFC 3264), and packets through an agreed call.

use super::description::same_line;
use super::message::show;
use ringfort::config::plan::{self, Learn};
use ringfort::media::{CallMedia, Media, MediaError, MediaLimits, OwnSockets, Seen, Service, Side};
use ringfort::protocol::sdp::{Direction, Sdp, Section};
use ringfort::protocol::{rtcp as rtcp_wire, rtp as rtp_wire};
use shards::{MediaSlice, Outbox, Slot, Target, Time, Verdict};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const PORTS: u32 = 64;
const FIRST: u16 = 20_000;
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SHOWN: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const PHONES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
];

/// A plane and one call.
struct Plane {
    media: Media,
    now: Time,
    call: CallMedia,
}

impl Plane {
    fn new() -> Self {
        let plan = plan::Media {
            addresses: vec![HOME],
            advertised: vec![SHOWN],
            ports: (FIRST, FIRST + PORTS as u16 - 1),
            timeout: Duration::from_secs(60),
            quarantine: Duration::from_secs(5),
            learn: Learn::Nat,
            xdp: Vec::new(),
        };
        let slice = MediaSlice {
            addresses: vec![HOME],
            first: FIRST,
            ports: PORTS,
        };
        let own = Arc::new(OwnSockets::new(&[(HOME, SHOWN)], plan.ports));
        let media = Media::new(
            slice,
            &plan,
            MediaLimits {
                calls: 4,
                seed: [7; 32],
                own,
            },
        );
        Self {
            media,
            now: Time::from_millis(1_000),
            call: CallMedia::default(),
        }
    }

    fn seen(side: Side) -> Seen<'static> {
        Seen {
            signalling: PHONES[side.index()],
            addresses: &[],
            other: &[],
            urgent: false,
        }
    }

    fn offer(&mut self, from: Side, sdp: &[u8]) -> Result<Vec<u8>, MediaError> {
        let mut out = b"before".to_vec();
        let made = self.media.offer(
            self.now,
            &mut |_| Ok(()),
            &mut self.call,
            from,
            sdp,
            Self::seen(from),
            &mut out,
        );
        finish(made, out)
    }

    fn answer(&mut self, from: Side, sdp: &[u8]) -> Result<Vec<u8>, MediaError> {
        let mut out = b"before".to_vec();
        let made = self
            .media
            .answer(self.now, &mut self.call, from, sdp, Self::seen(from), &mut out);
        finish(made, out)
    }

    fn local(&mut self, service: Service, sdp: &[u8]) -> Result<Vec<u8>, MediaError> {
        let (mut out, seen) = (b"before".to_vec(), Self::seen(Side::A));
        let made = self
            .media
            .answer_local(self.now, &mut |_| Ok(()), &mut self.call, service, sdp, seen, &mut out);
        finish(made, out)
    }

    /// A datagram comes; what leaves because of it.
    fn packet(&mut self, slot: Slot, from: SocketAddr, packet: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut packet = packet.to_vec();
        let (mut outbox, mut sent) = (Outbox::default(), Vec::new());
        match self.media.packet(self.now, slot, from, &mut packet) {
            Verdict::Relay { to, .. } => sent.push((to, packet)),
            Verdict::Odd => self.media.odd(self.now, &mut outbox, slot, from, &mut packet),
            Verdict::Drop => {}
        }
        for datagram in outbox.datagrams() {
            if let Target::Media(_, to) = datagram.target {
                sent.push((to, outbox.octets(datagram).to_vec()));
            }
        }
        sent
    }

    /// The call ends, and everything is free again.
    fn end(mut self) {
        self.media.release(self.now, &mut self.call);
        for _ in 0..2 {
            self.now += Duration::from_secs(60);
            self.media.expire(self.now, &mut Outbox::default(), &mut Vec::new());
        }
        let counters = self.media.counters();
        assert_eq!(
            (counters.ports_free, counters.ports_used, counters.calls),
            (u64::from(PORTS), 0, 0)
        );
    }
}

fn finish(made: Result<(), MediaError>, mut out: Vec<u8>) -> Result<Vec<u8>, MediaError> {
    if made.is_err() {
        assert_eq!(out, b"before", "a refused description writes nothing");
    }
    assert!(out.starts_with(b"before"));
    made.map(|()| out.split_off(b"before".len()))
}

/// Descriptions, parted by 0xFF, each behind an octet that says what it is.
pub(super) fn offer_answer(octets: &[u8]) {
    let mut plane = Plane::new();
    // The lines of the offer as it came, while its answer is awaited.
    let mut offered: Vec<u8> = Vec::new();
    for part in octets.split(|octet| *octet == 0xff).take(16) {
        let Some((&kind, sdp)) = part.split_first() else {
            continue;
        };
        let side = if kind & 1 == 0 { Side::A } else { Side::B };
        match kind >> 1 & 3 {
            0 => {
                if let Ok(written) = plane.offer(side, sdp) {
                    passed_on(sdp, &written);
                    offered = sdp.to_vec();
                }
            }
            1 => {
                if let Ok(written) = plane.answer(side, sdp)
                    && !written.is_empty()
                {
                    passed_on(sdp, &written);
                    answered(&offered, &written);
                }
            }
            2 => {
                let service = if kind & 1 == 0 { Service::Echo } else { Service::Music };
                if let Ok(written) = plane.local(service, sdp)
                    && !sdp.is_empty()
                {
                    answered(sdp, &written);
                    chosen(sdp, &written);
                }
            }
            _ => {
                plane.media.reject(&mut plane.call);
                plane.now += Duration::from_millis(u64::from(kind) * 10);
            }
        }
    }
    plane.end();
}

fn read(text: &[u8]) -> Sdp<'_> {
    Sdp::parse(text).unwrap_or_else(|fault| panic!("{fault:?}: {}", show(text)))
}

/// What the other side is shown: the same lines in the same order with the same codecs, at our
/// address or refused.
fn passed_on(given: &[u8], written: &[u8]) {
    let (given, new) = (read(given), read(written));
    assert_eq!(new.sections().len(), given.sections().len(), "{}", show(written));
    let mut ports: Vec<u16> = Vec::new();
    for (new, old) in new.sections().iter().zip(given.sections()) {
        same_line(new, old);
        assert!(
            old.port != 0 || new.port == 0,
            "RFC 3264 section 8.2: what is refused stays so"
        );
        ours(new, &mut ports);
    }
    assert!(
        new.session_lines()
            .any(|line| line.letter == b'o' && line.value.ends_with(b"198.51.100.1"))
    );
}

/// A line with a port shows an even port of ours, one for each line.
fn ours(section: &Section<'_>, ports: &mut Vec<u16>) {
    if section.port != 0 {
        assert_eq!(section.address, Some(SHOWN));
        assert!((FIRST..FIRST + PORTS as u16).contains(&section.port) && section.port.is_multiple_of(2));
        assert!(!ports.contains(&section.port), "one port for two lines");
        ports.push(section.port);
    }
}

/// RFC 3264 section 6: as many lines as the offer, and none taken that was not offered.
fn answered(offer: &[u8], answer: &[u8]) {
    let (offer, answer) = (read(offer), read(answer));
    assert_eq!(answer.sections().len(), offer.sections().len());
    for (answer, offer) in answer.sections().iter().zip(offer.sections()) {
        assert!(
            offer.port != 0 || answer.port == 0,
            "an offered port of 0 is answered with 0"
        );
    }
}

/// Our own answer, section 6.1: media and transport as offered, codecs out of the offer, and a
/// direction that fits.
fn chosen(offer: &[u8], answer: &[u8]) {
    let (offer, answer) = (read(offer), read(answer));
    for (answer, offer) in answer.sections().iter().zip(offer.sections()) {
        assert_eq!(
            (show(answer.media), show(answer.proto)),
            (show(offer.media), show(offer.proto))
        );
        if answer.port == 0 {
            continue;
        }
        assert_eq!(
            answer.payload_types & !offer.payload_types,
            0,
            "a codec that was not offered"
        );
        assert_ne!(answer.payload_types, 0);
        let fits = match offer.meant_direction() {
            Direction::SendRecv => true,
            Direction::SendOnly => matches!(answer.direction, Direction::RecvOnly | Direction::Inactive),
            Direction::RecvOnly => matches!(answer.direction, Direction::SendOnly | Direction::Inactive),
            Direction::Inactive => answer.direction == Direction::Inactive,
        };
        assert!(fits, "{:?} answered with {:?}", offer.direction, answer.direction);
        assert!(offer.rtcp_mux || !answer.rtcp_mux, "RFC 5761 section 5.1.1");
    }
}

const CALL: [&str; 2] = [
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n\
     a=rtpmap:101 telephone-event/8000\r\n",
    "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0 8 101\r\n\
     a=rtpmap:101 telephone-event/8000\r\n",
];

/// Packets, parted by 0xFF 0x00, each behind an octet that says where it comes from: the header
/// is checked, and a call's relay lets through what is whole, unchanged behind the header.
pub(super) fn rtp(octets: &[u8]) {
    let mut plane = Plane::new();
    let to_b = plane.offer(Side::A, CALL[0].as_bytes()).expect("an offer");
    let to_a = plane.answer(Side::B, CALL[1].as_bytes()).expect("an answer");
    let slot = |sdp: &[u8]| Slot(u32::from(read(sdp).sections()[0].port - FIRST));
    let slots = [slot(&to_a), slot(&to_b)];
    for part in parts(octets) {
        let Some((&way, packet)) = part.split_first() else {
            continue;
        };
        header(packet);
        let side = usize::from(way & 1);
        let port = [4000, 5000][side] + u16::from(way >> 1 & 3);
        let from = SocketAddr::new(if way & 8 == 0 { PHONES[side] } else { PHONES[1 - side] }, port);
        let slot = Slot(slots[side].0 | u32::from(way >> 4 & 1));
        plane.now += Duration::from_millis(u64::from(way >> 5) * 10);
        for (to, sent) in plane.packet(slot, from, packet) {
            assert_eq!(to.ip(), PHONES[1 - side], "to the other phone");
            assert_eq!(sent.len(), packet.len());
            if slot.0 & 1 == 0 {
                let was = rtp_wire::check(packet).expect("only RTP is passed on");
                let is = rtp_wire::check(&sent).expect("and stays so");
                assert_eq!(
                    (is.payload_type, is.marker, is.length),
                    (was.payload_type, was.marker, was.length)
                );
                assert_eq!(
                    &sent[rtp_wire::FIXED..],
                    &packet[rtp_wire::FIXED..],
                    "the payload is not touched"
                );
            }
        }
    }
    plane.end();
}

fn parts(octets: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), octets);
    while let Some(at) = rest
        .windows(2)
        .position(|pair| pair == [0xff, 0])
        .filter(|_| parts.len() < 64)
    {
        parts.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    parts.push(rest);
    parts
}

fn header(packet: &[u8]) {
    let checked = rtp_wire::check(packet);
    assert!(rtp_wire::check_plain(packet).is_err() || checked.is_ok());
    let Ok(header) = checked else { return };
    assert!((rtp_wire::FIXED..=packet.len()).contains(&(header.length as usize)));
    let mut changed = packet.to_vec();
    rtp_wire::set_sequence(&mut changed, !header.sequence);
    rtp_wire::set_timestamp(&mut changed, !header.timestamp);
    rtp_wire::set_ssrc(&mut changed, !header.ssrc);
    let again = rtp_wire::check(&changed).expect("still a packet");
    let want = rtp_wire::Header {
        sequence: !header.sequence,
        timestamp: !header.timestamp,
        ssrc: !header.ssrc,
        ..header
    };
    assert_eq!(again, want);
}

/// RTCP: a compound packet is as long as its parts say (RFC 3550 appendix A.2).
pub(super) fn rtcp(octets: &[u8]) {
    let _ = ringfort::protocol::stun::is_stun(octets);
    let Ok(compound) = rtcp_wire::check(octets) else {
        let _ = rtcp_wire::check_secure(octets);
        return;
    };
    let (mut rest, mut packets) = (octets, 0);
    while let [first, kind, high, low, ..] = rest {
        let length = (usize::from(u16::from_be_bytes([*high, *low])) + 1) * 4;
        assert!(first >> 6 == 2 && (192..=223).contains(kind) && length <= rest.len());
        rest = &rest[length..];
        packets += 1;
        assert!(first & 0x20 == 0 || rest.is_empty(), "only the last one is padded");
    }
    assert!(rest.is_empty() && octets.len().is_multiple_of(4));
    assert_eq!((compound.packets, compound.kind), (packets, octets[1]));
    assert_eq!(
        compound.sender,
        u32::from_be_bytes([octets[4], octets[5], octets[6], octets[7]])
    );
    // Two compounds behind one another are one, unless padding ends up in the middle.
    let last_is_padded = rtcp_wire::check(&[octets, octets].concat()).is_err();
    if let Ok(twice) = rtcp_wire::check(&[octets, octets].concat()) {
        assert_eq!((twice.packets, twice.sender), (2 * packets, compound.sender));
    }
    let _ = last_is_padded;
}
