//! SDP and RTP. Every packet says who speaks to whom.

use super::{Duration, EndpointCx, Leg, Phone, SocketAddr, State, Timer, text};

impl Phone {
    pub(super) fn sdp(&self, direction: &str) -> String {
        format!(
            "v=0\r\no={} 7 7 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 0 8\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na={direction}\r\n",
            self.name,
            self.rtp.port(),
            ip = self.rtp.ip(),
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
        let (me, pace) = (self.name.clone(), self.habits.pace);
        let leg = &mut self.legs[place];
        if leg.is_over() {
            return;
        }
        if let (State::Up, true, Some(to)) = (leg.state, leg.sends && !leg.mute, leg.rtp_to) {
            leg.sequence = leg.sequence.wrapping_add(1);
            leg.sent += 1;
            let packet = packet(leg, &me, place as u32);
            cx.send(self.rtp, to, &packet);
        }
        self.timer(cx, pace, Timer::Audio(place));
    }

    pub(super) fn hear(&mut self, from: SocketAddr, packet: &[u8]) {
        if packet.len() <= 12 || packet[1] & 0x7f > 34 {
            return;
        }
        let Some(mark) = mark(&packet[12..]) else {
            // Music has no mark; neither has what the network has changed.
            if let Some(leg) = self.legs.iter_mut().rev().find(|leg| leg.peer == "9664") {
                leg.heard += 1;
            }
            return;
        };
        let mut parts = mark.split('>');
        let (speaker, listener) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let echo = speaker == self.name;
        let own = listener == self.name || self.habits.aliases.iter().any(|alias| alias == listener);
        let known = self.legs.iter_mut().rev().find(|leg| match leg.peer.as_str() {
            "9664" => false,
            "9196" => echo && listener == "9196",
            peer => own && (peer == speaker || leg.also.iter().any(|other| other == speaker)),
        });
        match known {
            Some(leg) => leg.heard += 1,
            None => self.strange.push(format!("{mark} from {from}")),
        }
    }
}

/// Who speaks to whom, when the payload is a phone's and whole.
fn mark(payload: &[u8]) -> Option<&str> {
    let (last, text) = payload.split_last()?;
    let text = std::str::from_utf8(text).ok().filter(|_| sum(text) == *last)?;
    Some(text.trim_end_matches('.')).filter(|mark| mark.contains('>'))
}

fn packet(leg: &Leg, me: &str, source: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&leg.sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(leg.sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&(0x1000_0000 + source).to_be_bytes());
    packet.extend_from_slice(format!("{me}>{}", leg.peer).as_bytes());
    packet.resize(171, b'.');
    packet.push(sum(&packet[12..]));
    packet
}

/// What lets a phone tell a packet that the network has changed.
fn sum(octets: &[u8]) -> u8 {
    octets.iter().fold(0, |sum, octet| sum.wrapping_add(*octet))
}
