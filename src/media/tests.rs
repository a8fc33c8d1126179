//! Scenarios over the whole plane: one call's signalling and packets, no sockets.

mod bleed;
mod model;
mod negotiate;
mod ports;
mod relay;
mod services;
mod watch;

use super::*;
use crate::config::plan::Learn;
use crate::protocol::rtp;
use crate::protocol::sdp::Sdp;
use shards::{Outbox, Target, Verdict};
use std::net::SocketAddr;
use std::sync::Arc;

/// A plane with one address, and a phone on each side.
struct World {
    media: Media,
    now: Time,
    call: CallMedia,
    /// What opening a socket says.
    open: Box<dyn FnMut(Slot) -> Result<(), OpenError>>,
    /// Where each side's signalling comes from.
    signalling: [IpAddr; 2],
}

/// A datagram that left.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    slot: Slot,
    to: SocketAddr,
    octets: Vec<u8>,
}

const HOME: &str = "10.0.0.1";
const A: &str = "192.0.2.1:4000";
const B: &str = "192.0.2.2:5000";

impl World {
    fn new() -> World {
        World::with(Learn::Nat, 1_000)
    }

    fn with(learn: Learn, ports: u32) -> World {
        let home = ip(HOME);
        let slice = MediaSlice {
            addresses: vec![home],
            first: 20_000,
            ports,
        };
        let plan = plan::Media {
            addresses: vec![home],
            advertised: vec![ip("198.51.100.1")],
            ports: (20_000, 39_999),
            timeout: Duration::from_secs(60),
            quarantine: Duration::from_secs(5),
            xdp: Vec::new(),
            learn,
        };
        let own = Arc::new(OwnSockets::new(&[(home, plan.advertised[0])], plan.ports));
        let media = Media::new(
            slice,
            &plan,
            MediaLimits {
                calls: 10_000,
                seed: [7; 32],
                own,
            },
        );
        World {
            media,
            now: Time::from_millis(1_000),
            call: CallMedia::default(),
            open: Box::new(|_| Ok(())),
            signalling: [at(A).ip(), at(B).ip()],
        }
    }

    /// A call between [`A`] and [`B`], answered.
    fn answered() -> World {
        let mut world = World::new();
        world.offer(Side::A, &audio(A, "")).unwrap();
        world.answer(Side::B, &audio(B, "")).unwrap();
        world
    }

    fn seen(&self, side: Side) -> Seen<'static> {
        Seen {
            signalling: self.signalling[side.index()],
            addresses: &[],
            other: &[],
            urgent: false,
        }
    }

    fn offer(&mut self, from: Side, sdp: &str) -> Result<String, MediaError> {
        let (seen, mut out) = (self.seen(from), Vec::new());
        let made = self.media.offer(
            self.now,
            &mut *self.open,
            &mut self.call,
            from,
            sdp.as_bytes(),
            seen,
            &mut out,
        );
        finish(made, out)
    }

    fn answer(&mut self, from: Side, sdp: &str) -> Result<String, MediaError> {
        let (seen, mut out) = (self.seen(from), Vec::new());
        let made = self
            .media
            .answer(self.now, &mut self.call, from, sdp.as_bytes(), seen, &mut out);
        finish(made, out)
    }

    fn local(&mut self, service: Service, sdp: &str) -> Result<String, MediaError> {
        let (seen, mut out) = (self.seen(Side::A), Vec::new());
        let call = &mut self.call;
        let made = self
            .media
            .answer_local(self.now, &mut *self.open, call, service, sdp.as_bytes(), seen, &mut out);
        finish(made, out)
    }

    /// One datagram arrives; what leaves because of it.
    fn packet(&mut self, slot: Slot, from: &str, packet: &[u8]) -> Vec<Sent> {
        let mut octets = packet.to_vec();
        match self.media.packet(self.now, slot, at(from), &mut octets) {
            Verdict::Relay { slot, to } => vec![Sent { slot, to, octets }],
            Verdict::Drop => Vec::new(),
            Verdict::Odd => {
                let mut out = Outbox::default();
                self.media.odd(self.now, &mut out, slot, at(from), &mut octets);
                sent(&out)
            }
        }
    }

    /// Time passes; what is sent and said meanwhile.
    fn pass(&mut self, span: Duration) -> (Vec<Sent>, Vec<MediaEvent>) {
        let (mut all, mut events, until) = (Vec::new(), Vec::new(), self.now + span);
        while let Some(due) = self.media.deadline().filter(|&due| due <= until) {
            self.now = self.now.max(due);
            let mut out = Outbox::default();
            self.media.expire(self.now, &mut out, &mut events);
            all.extend(sent(&out));
            assert!(self.media.deadline().is_none_or(|next| next > self.now), "time goes on");
        }
        self.now = until;
        (all, events)
    }

    fn dropped(&self, reason: Dropped) -> u64 {
        self.media.counters().dropped[reason as usize]
    }
}

fn finish(made: Result<(), MediaError>, out: Vec<u8>) -> Result<String, MediaError> {
    if made.is_err() {
        assert!(out.is_empty(), "an error writes nothing");
    } else if !out.is_empty() {
        Sdp::parse(&out).expect("what we write can be read");
    }
    made.map(|()| String::from_utf8(out).unwrap())
}

fn sent(out: &Outbox) -> Vec<Sent> {
    out.datagrams()
        .iter()
        .map(|datagram| match datagram.target {
            Target::Media(slot, to) => Sent {
                slot,
                to,
                octets: out.octets(datagram).to_vec(),
            },
            other @ Target::Listener(..) => panic!("media leaves from media slots, not {other:?}"),
        })
        .collect()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A description with one audio line at `address`, PCMU, PCMA and telephone-event.
fn audio(address: &str, more: &str) -> String {
    described(
        at(address).ip(),
        &format!("{}{more}", line("audio", at(address).port(), "RTP/AVP 0 8 101")),
    )
}

fn described(address: IpAddr, lines: &str) -> String {
    let kind = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!("v=0\r\no=phone 1 1 IN {kind} {address}\r\ns=call\r\nc=IN {kind} {address}\r\nt=0 0\r\n{lines}")
}

fn line(media: &str, port: u16, rest: &str) -> String {
    format!("m={media} {port} {rest}\r\n")
}

/// The slot that a description shows in its `n`th media line.
fn slot(sdp: &str, n: usize) -> Slot {
    let sdp = Sdp::parse(sdp.as_bytes()).unwrap();
    Slot(u32::from(sdp.sections()[n].port) - 20_000)
}

fn rtcp_of(slot: Slot) -> Slot {
    Slot(slot.0 + 1)
}

/// 20 ms of PCMU.
fn voice(sequence: u16) -> Vec<u8> {
    let mut packet = rtp::header(0, false, sequence, u32::from(sequence) * 160, 0xabcd).to_vec();
    packet.resize(172, 0xff);
    packet
}

/// A receiver report without blocks.
const REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0xab, 0xcd];
