//! The first RTP stream of a capture, classic pcap or pcapng (draft-ietf-opsawg-pcap and
//! -pcapng; the containers are `pcap-parser`'s).

use super::clip::{Captured, Fault};
use super::link::{Datagram, Link, datagram};
use pcap_parser::nom::Err as Stop;
use pcap_parser::pcap::{parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header};
use pcap_parser::pcapng::{Block, parse_block_be, parse_block_le, parse_sectionheaderblock};
use ringfort::protocol::rtp;
use std::net::SocketAddr;
use std::time::Duration;

/// Payloads one after the other, and the packets that they belong to.
pub(super) fn read(octets: &[u8]) -> Result<(Vec<u8>, Vec<Captured>), Fault> {
    let mut found = Found::default();
    if parse_sectionheaderblock(octets).is_ok() {
        next_generation(octets, &mut found);
    } else {
        classic(octets, &mut found)?;
    }
    found.stream()
}

/// An RTP packet somewhere in the capture.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    flow: (SocketAddr, SocketAddr, u32),
    header: rtp::Header,
    payload: &'a [u8],
    at: Duration,
}

#[derive(Default)]
struct Found<'a> {
    candidates: Vec<Candidate<'a>>,
    packets: usize,
    udp: usize,
    cut: usize,
    /// A link type that is not known.
    strange: Option<i32>,
    damaged: bool,
    /// Simple packet blocks have no time, so they cannot be played.
    timeless: usize,
}

impl<'a> Found<'a> {
    fn frame(&mut self, link: i32, frame: &'a [u8], at: Duration) {
        self.packets += 1;
        let Some(known) = Link::of(link) else {
            self.strange = Some(link);
            return;
        };
        let Some(datagram) = datagram(known, frame) else {
            return;
        };
        self.udp += 1;
        self.cut += usize::from(datagram.cut);
        if let Some(candidate) = candidate(&datagram, at) {
            self.candidates.push(candidate);
        }
    }

    fn stream(self) -> Result<(Vec<u8>, Vec<Captured>), Fault> {
        let first = first_stream(&self.candidates).ok_or(match self.strange {
            Some(link) if self.udp == 0 => Fault::LinkType(link),
            _ if self.timeless != 0 && self.packets == 0 => Fault::NoTimes { packets: self.timeless },
            _ if self.damaged => Fault::CaptureDamaged { packets: self.packets },
            _ => Fault::NoRtp {
                packets: self.packets,
                udp: self.udp,
                cut: self.cut,
            },
        })?;
        let (mut octets, mut packets) = (Vec::new(), Vec::new());
        let mut before = first.header;
        for candidate in self.candidates.iter().filter(|candidate| candidate.flow == first.flow) {
            let header = candidate.header;
            // A capture on all interfaces has each packet of the loopback twice.
            if !packets.is_empty() && header.sequence == before.sequence {
                continue;
            }
            let start = octets.len();
            octets.extend_from_slice(candidate.payload);
            packets.push(Captured {
                start,
                end: octets.len(),
                payload_type: header.payload_type,
                marker: header.marker,
                offset: candidate.at.saturating_sub(first.at),
                increment: header.timestamp.wrapping_sub(before.timestamp),
            });
            before = header;
        }
        // The first that goes forward is how the stream goes; telephone events stand still.
        let forward = |packet: &Captured| (1..1 << 31).contains(&packet.increment).then_some(packet.increment);
        let usual = packets.iter().find_map(forward).unwrap_or(160);
        if let Some(first) = packets.first_mut() {
            first.increment = usual;
        }
        Ok((octets, packets))
    }
}

/// The first stream that shows a second packet near its first; else the first candidate. A single one may
/// be anything whose first two bits are 10: one of four DNS answers.
fn first_stream<'a>(candidates: &[Candidate<'a>]) -> Option<Candidate<'a>> {
    const LOOK: usize = 2_000; // the search is quadratic where nothing is RTP
    let follows = |at: usize, first: &Candidate<'_>| {
        candidates[at + 1..].iter().take(LOOK).any(|next| {
            let step = next.header.sequence.wrapping_sub(first.header.sequence);
            next.flow == first.flow && (1..3_000).contains(&step)
        })
    };
    let mut numbered = candidates.iter().enumerate();
    let confirmed = numbered.find(|&(at, first)| follows(at, first));
    confirmed.map(|(_, first)| *first).or(candidates.first().copied())
}

fn candidate<'a>(datagram: &Datagram<'a>, at: Duration) -> Option<Candidate<'a>> {
    if datagram.cut || rtp::is_rtcp(datagram.payload) {
        return None;
    }
    let header = rtp::check_plain(datagram.payload).ok()?;
    let padding = if header.padding { *datagram.payload.last()? } else { 0 };
    let end = datagram.payload.len() - usize::from(padding);
    Some(Candidate {
        flow: (datagram.source, datagram.target, header.ssrc),
        header,
        payload: datagram.payload.get(header.length as usize..end)?,
        at,
    })
}

fn classic<'a>(octets: &'a [u8], found: &mut Found<'a>) -> Result<(), Fault> {
    let (mut rest, header) = parse_pcap_header(octets).map_err(|_| Fault::NotCapture)?;
    let parse = match (header.is_bigendian(), header.is_modified_format()) {
        (true, _) => parse_pcap_frame_be,
        (_, true) => parse_pcap_frame_modified,
        _ => parse_pcap_frame,
    };
    let unit_ns = if header.is_nanosecond_precision() { 1 } else { 1_000 };
    // The upper bits say how long the frame check sequences are, not which link it is.
    let link = header.network.0 & 0xffff;
    while !rest.is_empty() {
        match parse(rest) {
            Ok((after, frame)) => {
                let at =
                    Duration::from_secs(frame.ts_sec.into()) + Duration::from_nanos(u64::from(frame.ts_usec) * unit_ns);
                found.frame(link, frame.data, at);
                rest = after;
            }
            // The capturing program was stopped in the middle of a packet: what came before is good.
            Err(Stop::Incomplete(_)) => return Ok(()),
            Err(_) => break,
        }
    }
    found.damaged = !rest.is_empty();
    Ok(())
}

fn next_generation<'a>(octets: &'a [u8], found: &mut Found<'a>) {
    let mut rest = octets;
    let mut big_endian = false;
    // Link type and time resolution of the section's interfaces.
    let mut interfaces: Vec<(i32, u8)> = Vec::new();
    while !rest.is_empty() {
        let parsed = if big_endian {
            parse_block_be(rest)
        } else {
            parse_block_le(rest)
        };
        let (after, block) = match parsed {
            Ok(parsed) => parsed,
            Err(Stop::Incomplete(_)) => return,
            Err(_) => break,
        };
        rest = after;
        match block {
            Block::SectionHeader(section) => {
                big_endian = section.big_endian();
                interfaces.clear();
            }
            Block::InterfaceDescription(interface) => interfaces.push((interface.linktype.0, interface.if_tsresol)),
            Block::EnhancedPacket(packet) => {
                let Some(&(link, resolution)) = interfaces.get(packet.if_id as usize) else {
                    continue;
                };
                let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                // The rest of `data` is padding.
                if let Some(frame) = packet.data.get(..packet.caplen as usize) {
                    found.frame(link, frame, time(ticks, resolution));
                }
            }
            Block::SimplePacket(_) => found.timeless += 1,
            _ => {}
        }
    }
    found.damaged = !rest.is_empty();
}

/// Ticks of an interface as a time (option `if_tsresol`: a power of 10, or of 2 with the top bit).
fn time(ticks: u64, resolution: u8) -> Duration {
    let power = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let per_second = base.checked_pow(power).unwrap_or(u128::MAX);
    let nanoseconds = u128::from(ticks).saturating_mul(1_000_000_000) / per_second;
    Duration::from_nanos(nanoseconds.min(u128::from(u64::MAX)) as u64)
}

#[cfg(test)]
mod tests;
