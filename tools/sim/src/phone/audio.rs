//! SDP, RTP and RTCP. Every packet says of which call it is and which side sent it, and every call has a
//! port of its own, so that no packet can reach another call without being seen.

use super::{Duration, EndpointCx, Leg, Phone, SERVER, SocketAddr, State, Timer, text};

/// The first port of a phone's audio; RTCP is on the odd one above each.
pub const AUDIO: u16 = 4000;
/// Calls of a phone that have different ports.
pub const LINES: u16 = 16;

/// What a leg without a call in common says and hears.
const ECHO: &str = "9196";
const MUSIC: &str = "9664";

/// The Subject line that carries the name of a call through proxy and B2BUA.
pub(super) fn subject(key: &str) -> String {
    format!("Subject: call {key} {:08x}\n", sum(key.as_bytes()))
}

/// The name in a Subject; nothing when the network has changed it.
pub(super) fn key_of(subject: &str) -> &str {
    let mut parts = subject.split(' ').skip(1);
    let (key, mark) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    if mark == format!("{:08x}", sum(key.as_bytes())) {
        key
    } else {
        ""
    }
}

impl Phone {
    pub(super) fn sdp(&self, place: usize, direction: &str) -> String {
        format!(
            "v=0\r\no={} 7 7 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 0 8\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na={direction}\r\n",
            self.name,
            self.legs[place].port,
            ip = self.me.ip(),
        )
    }

    /// Takes the other side's description; returns the direction to answer with.
    pub(super) fn described(&mut self, cx: &mut EndpointCx<'_>, place: usize, sdp: &str) -> &'static str {
        let (address, direction) = text::audio(sdp);
        let leg = &mut self.legs[place];
        leg.direction = direction.to_owned();
        leg.rtp_to = address;
        leg.sends = matches!(direction, "sendrecv" | "recvonly");
        if !leg.paced {
            leg.paced = true;
            self.timer(cx, Duration::from_millis(5), Timer::Audio(place));
        }
        match direction {
            "sendonly" => "recvonly",
            "recvonly" => "sendonly",
            "inactive" => "inactive",
            _ => "sendrecv",
        }
    }

    pub(super) fn speak(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        let (ip, pace) = (self.me.ip(), self.habits.pace);
        let leg = &mut self.legs[place];
        if leg.is_over() {
            return;
        }
        if let (State::Up, true, Some(to)) = (leg.state, leg.sends && !leg.mute && !leg.key.is_empty(), leg.rtp_to) {
            leg.sequence = leg.sequence.wrapping_add(1);
            leg.sent += 1;
            let from = SocketAddr::new(ip, leg.port);
            cx.send(from, to, &packet(leg, place as u32));
            if leg.sequence.is_multiple_of(REPORTS) {
                let [from, to] = [from, to].map(|address| SocketAddr::new(address.ip(), address.port() | 1));
                cx.send(from, to, &report(leg, place as u32));
            }
        }
        self.timer(cx, pace, Timer::Audio(place));
    }

    pub(super) fn hear(&mut self, to: SocketAddr, from: SocketAddr, packet: &[u8]) {
        let port = to.port() & !1;
        let control = to.port() != port;
        let Some(payload) = packet.get(if control { REPORT_HEAD.. } else { 12.. }) else {
            return;
        };
        let mut mine = self.legs.iter_mut().rev().filter(|leg| leg.port == port);
        let Some((key, caller)) = mark(payload) else {
            // What once was a mark was changed by the network. Music has none, and is for those who asked.
            let broken = control || payload.iter().filter(|octet| **octet == FILL).count() > PAYLOAD / 2;
            match mine.find(|leg| leg.peer == MUSIC) {
                Some(leg) => leg.heard += u32::from(!broken),
                None if broken => {}
                None => self
                    .strange
                    .push(format!("{} octets without a mark from {from}", packet.len())),
            }
            return;
        };
        // Who could not read what the call is called can tell nothing.
        let known = mine.find(|leg| match leg.peer.as_str() {
            MUSIC => false,
            ECHO => leg.key == key && caller == leg.calling,
            _ => leg.key.is_empty() || (leg.key == key && caller != leg.calling),
        });
        match known {
            Some(leg) if control => leg.reports += 1,
            // What the server relays comes from where it said that it would.
            Some(leg) if from.ip() == SERVER.ip() && leg.rtp_to.is_some_and(|told| told != from) => {
                let told = leg.rtp_to;
                self.strange
                    .push(format!("{key} at {to} from {from}, not from {told:?}"));
            }
            Some(leg) => leg.heard += 1,
            None => self.strange.push(format!("{key} at {to} from {from}")),
        }
    }
}

/// The call and whether its caller speaks, when the payload is a phone's and whole.
fn mark(payload: &[u8]) -> Option<(&str, bool)> {
    // A report ends with two zeros.
    let payload = payload
        .strip_suffix(&[0, 0])
        .filter(|_| payload.len() == CNAME + 2)
        .unwrap_or(payload);
    let (text, last) = payload.split_last_chunk()?;
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|_| sum(text) == u32::from_be_bytes(*last))?;
    let (key, side) = text.trim_end_matches(FILL as char).rsplit_once(' ')?;
    Some((key, side == "caller"))
}

fn marked(packet: &mut Vec<u8>, leg: &Leg, size: usize) {
    let start = packet.len();
    let side = if leg.calling { "caller" } else { "callee" };
    packet.extend_from_slice(format!("{} {side}", leg.key).as_bytes());
    packet.resize(start + size - 4, FILL);
    let sum = sum(&packet[start..]);
    packet.extend_from_slice(&sum.to_be_bytes());
}

/// 20 ms of audio, RFC 3550 section 5.1.
fn packet(leg: &Leg, source: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&leg.sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(leg.sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&(SOURCE + source).to_be_bytes());
    marked(&mut packet, leg, PAYLOAD);
    packet
}

/// A sender report and, as section 6.1 wants, an SDES packet with a CNAME: the mark.
fn report(leg: &Leg, source: u32) -> Vec<u8> {
    let source = (SOURCE + source).to_be_bytes();
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend_from_slice(&source);
    packet.extend_from_slice(&[0; 8]);
    packet.extend_from_slice(&(u32::from(leg.sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&leg.sent.to_be_bytes());
    packet.extend_from_slice(&(leg.sent * PAYLOAD as u32).to_be_bytes());
    // 8 octets of head and SSRC, 2 of the item, the text, 2 zeros to its end: a multiple of four.
    packet.extend_from_slice(&[0x81, 202, 0, ((10 + CNAME + 2) / 4 - 1) as u8]);
    packet.extend_from_slice(&source);
    packet.extend_from_slice(&[1, CNAME as u8]);
    marked(&mut packet, leg, CNAME);
    packet.truncate(REPORT_HEAD + CNAME);
    packet.extend_from_slice(&[0, 0]);
    packet
}

/// FNV-1a, so that a phone can tell a packet that the network has changed.
fn sum(octets: &[u8]) -> u32 {
    octets.iter().fold(0x811c_9dc5, |sum, octet| {
        (sum ^ u32::from(*octet)).wrapping_mul(0x0100_0193)
    })
}

const PAYLOAD: usize = 160;
const CNAME: usize = 64;
/// Octets of a report before its mark.
const REPORT_HEAD: usize = 38;
const FILL: u8 = b'.';
/// The first of a phone's SSRCs.
const SOURCE: u32 = 0x1000_0000;
/// A report goes with so many packets.
const REPORTS: u16 = 5;
