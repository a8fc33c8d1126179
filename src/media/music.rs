//! Music on hold without announcements: two soft chords, rendered once, sent every 20 ms to each
//! listener from one list. RFC 3551 for the packets.

use super::codec::g711;
use super::flow::Flows;
use super::types::MediaCounters;
use crate::protocol::rtp;
use shards::{Outbox, Slot, Target, Time};
use std::time::Duration;

/// The pattern in both laws, and who hears it.
pub(super) struct Music {
    mu_law: Box<[u8]>,
    a_law: Box<[u8]>,
    players: Vec<Player>,
    next: Time,
}

/// One listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Player {
    /// The socket that sends; its flow says where to.
    pub(super) slot: Slot,
    /// PCMU or PCMA.
    pub(super) law: Law,
    /// Negotiated payload type.
    pub(super) payload_type: u8,
    /// Our SSRC.
    pub(super) ssrc: u32,
    /// Next sequence number.
    pub(super) sequence: u16,
    /// Next timestamp; runs on while nothing is sent (RFC 3550 section 5.1).
    pub(super) timestamp: u32,
    /// Next frame of the pattern.
    pub(super) frame: u32,
    /// The next packet begins a talkspurt.
    pub(super) marker: bool,
}

/// Which G.711.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    /// PCMU.
    Mu,
    /// PCMA.
    A,
}

impl Music {
    /// Renders the pattern.
    pub(super) fn new() -> Self {
        let samples = render();
        Self {
            mu_law: samples.iter().map(|&sample| g711::to_mu_law(sample)).collect(),
            a_law: samples.iter().map(|&sample| g711::to_a_law(sample)).collect(),
            players: Vec::new(),
            next: Time::ZERO,
        }
    }

    /// Begins for a listener, or goes on with other parameters.
    pub(super) fn play(&mut self, now: Time, player: Player) {
        if let Some(known) = self.players.iter_mut().find(|known| known.slot == player.slot) {
            known.marker |= known.payload_type != player.payload_type;
            known.law = player.law;
            known.payload_type = player.payload_type;
            return;
        }
        if self.players.is_empty() {
            self.next = now;
        }
        self.players.push(player);
    }

    /// Ends for a listener.
    pub(super) fn stop(&mut self, slot: Slot) {
        self.players.retain(|player| player.slot != slot);
    }

    /// When the next packets are due.
    pub(super) fn deadline(&self) -> Option<Time> {
        (!self.players.is_empty()).then_some(self.next)
    }

    /// Sends what is due, one packet a listener. After a stall the lost time is not made up in a
    /// burst: a phone would throw it away.
    pub(super) fn tick(&mut self, now: Time, flows: &Flows, out: &mut Outbox, counters: &mut MediaCounters) {
        if self.players.is_empty() || now < self.next {
            return;
        }
        let late = now.since(self.next);
        let missed = (late.as_nanos() / TICK.as_nanos()) as u32;
        self.next += TICK * (missed + 1);
        for player in &mut self.players {
            player.frame = player.frame.wrapping_add(missed) % FRAMES;
            player.timestamp = player.timestamp.wrapping_add(missed.wrapping_mul(FRAME as u32));
            let table = if player.law == Law::Mu {
                &self.mu_law
            } else {
                &self.a_law
            };
            player.send(flows, table, out, counters);
        }
    }
}

impl Player {
    fn send(&mut self, flows: &Flows, table: &[u8], out: &mut Outbox, counters: &mut MediaCounters) {
        let at = self.frame as usize * FRAME;
        let flow = flows.get(self.slot).filter(|flow| flow.sendable);
        if let Some((flow, audio)) = flow.zip(table.get(at..at + FRAME)) {
            let header = rtp::header(self.payload_type, self.marker, self.sequence, self.timestamp, self.ssrc);
            out.datagram_with(Target::Media(self.slot, flow.to), |arena| {
                arena.extend_from_slice(&header);
                arena.extend_from_slice(audio);
            });
            counters.rtp_out += 1;
            self.sequence = self.sequence.wrapping_add(1);
            self.marker = false;
        } else {
            self.marker = true;
        }
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        self.frame = (self.frame + 1) % FRAMES;
    }
}

/// Two chords of two seconds, notes one after the other, each fading; peak near -15 dBFS, and
/// silent at the seam so that the loop does not click.
fn render() -> Vec<i16> {
    const CHORDS: [[f64; 4]; 2] = [[261.63, 329.63, 392.0, 493.88], [220.0, 349.23, 440.0, 523.25]];
    let half = FRAME * FRAMES as usize / 2;
    let mut samples = Vec::with_capacity(half * 2);
    for chord in CHORDS {
        samples.extend((0..half).map(|at| {
            let time = at as f64 / 8000.0;
            let level: f64 = chord
                .iter()
                .enumerate()
                .map(|(place, &pitch)| note(time - place as f64 * 0.22, pitch))
                .sum();
            // The last 0.2 s fade out.
            let fade = ((half - at) as f64 / 1600.0).min(1.0);
            (level * fade * 1600.0) as i16
        }));
    }
    samples
}

/// A soft bell: quick attack, slow decay, a little of the octave. Between -1 and 1.
fn note(time: f64, pitch: f64) -> f64 {
    if time <= 0.0 {
        return 0.0;
    }
    let phase = std::f64::consts::TAU * pitch * time;
    let envelope = (time / 0.03).min(1.0) * (-1.4 * time).exp();
    envelope * (0.85 * phase.sin() + 0.15 * (2.0 * phase).sin())
}

/// Samples in a packet.
pub(super) const FRAME: usize = 160;
/// Packets in the pattern: four seconds.
const FRAMES: u32 = 200;
const TICK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_quiet_audible_and_seamless() {
        let samples = render();
        assert_eq!(samples.len(), FRAME * FRAMES as usize);
        let peak = samples.iter().map(|sample| i32::from(*sample).abs()).max().unwrap();
        assert!((2_000..=8_000).contains(&peak), "{peak}");
        let power: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64;
        assert!(power.sqrt() > 300.0, "{}", power.sqrt());
        assert!(samples[0].abs() < 50 && samples[samples.len() - 1].abs() < 50);
        let jump = samples
            .windows(2)
            .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs())
            .max()
            .unwrap();
        assert!(jump < 4_000, "no clicks: {jump}");
    }
}
