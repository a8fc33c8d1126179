//! What a stream plays. A clip is made once and shared by thousands of streams; whether it is played
//! once or again and again is the player's business.

mod error;

pub use error::{ClipError, Fault};

use super::{pcap, wav};
use ringfort::media::codec::g711;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Octets of a frame: 20 ms at 8 kHz.
pub const FRAME_OCTETS: usize = 160;
const FRAME: Duration = Duration::from_millis(20);

/// Which of the two laws of G.711.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Mu-law, PCMU, payload type 0 (RFC 3551 table 4).
    Mu,
    /// A-law, PCMA, payload type 8.
    A,
}

impl Law {
    /// Static RTP payload type (RFC 3551 table 4).
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    /// The octet of silence.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xff,
            Self::A => 0xd5,
        }
    }

    /// A 16-bit sample as an octet.
    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => g711::to_mu_law(sample),
            Self::A => g711::to_a_law(sample),
        }
    }

    /// An octet as a 16-bit sample.
    #[must_use]
    pub fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Mu => g711::from_mu_law(octet),
            Self::A => g711::from_a_law(octet),
        }
    }

    /// Level and peak of a 16-bit sine at the virtual full scale, 3.17 dBm0 in mu-law and 3.14 dBm0 in A-law
    /// (G.711 section 4; the milliwatts of its tables 5 and 6 check it).
    fn full_scale(self) -> (f64, f64) {
        match self {
            Self::Mu => (317.0 / 100.0, 8_159.0 * 4.0),
            Self::A => (314.0 / 100.0, 4_096.0 * 8.0),
        }
    }
}

/// One packet of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipPacket<'a> {
    /// RTP payload.
    pub payload: &'a [u8],
    /// RTP payload type.
    pub payload_type: u8,
    /// RTP marker bit: begins a talkspurt (RFC 3551 section 4.1).
    pub marker: bool,
    /// When it is sent, from the clip's first packet on.
    pub offset: Duration,
    /// Add this, modulo 2^32, to the timestamp of the packet before. The first packet's is for a clip that
    /// is played again, and a guess in a capture.
    pub increment: u32,
}

/// What is played: G.711 in frames of 20 ms, or the packets of a capture.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    octets: Box<[u8]>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Frames { payload_type: u8 },
    Packets(Box<[Captured]>),
}

/// A packet of a capture; its payload is `octets[start..end]` of the clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Captured {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) payload_type: u8,
    pub(super) marker: bool,
    pub(super) offset: Duration,
    pub(super) increment: u32,
}

impl Clip {
    /// One second of a sine, which goes on without a click when it is played again. Frequencies that
    /// divide 8,000 use only a few codes; 1,004 Hz is the usual test tone.
    /// # Errors
    /// Frequency in Hz above 3,999 or 0; level in dBm0 above full scale (3.17, 3.14).
    pub fn tone(hz: u32, level_dbm0: f64, law: Law) -> Result<Arc<Self>, ClipError> {
        let (full_dbm0, full_peak) = law.full_scale();
        if !(1..4_000).contains(&hz) || level_dbm0.is_nan() || level_dbm0 > full_dbm0 {
            return Err(Fault::Tone { hz, level_dbm0 }.into());
        }
        let peak = full_peak * 10f64.powf((level_dbm0 - full_dbm0) / 20.0);
        let step = std::f64::consts::TAU * f64::from(hz) / 8_000.0;
        let samples = (0..8_000).map(|at| (peak * (step * f64::from(at)).sin()).round() as i16);
        Ok(Self::frames(samples.map(|sample| law.encode(sample)).collect(), law))
    }

    /// A WAV file's octets: 16-bit PCM, mu-law or A-law, 8 or 16 kHz, of several channels the first.
    /// 16 kHz become 8 kHz by the mean of each two samples. The last frame is filled with silence.
    /// # Errors
    /// [`ClipError`].
    pub fn wav(octets: &[u8], law: Law) -> Result<Arc<Self>, ClipError> {
        Ok(Self::frames(wav::read(octets, law)?, law))
    }

    /// Headerless G.711 at 8 kHz, as SIPp's `rtp_stream` plays it. The last frame is filled with silence.
    /// # Errors
    /// [`Fault::Empty`].
    pub fn raw(octets: &[u8], law: Law) -> Result<Arc<Self>, ClipError> {
        if octets.is_empty() {
            return Err(Fault::Empty.into());
        }
        Ok(Self::frames(octets.to_vec(), law))
    }

    /// A capture's octets, pcap or pcapng: the packets of its first RTP stream (one SSRC from one address
    /// to one other), whatever they carry.
    /// # Errors
    /// [`ClipError`].
    pub fn pcap(octets: &[u8]) -> Result<Arc<Self>, ClipError> {
        let (octets, packets) = pcap::read(octets)?;
        Ok(Arc::new(Self {
            octets: octets.into(),
            kind: Kind::Packets(packets.into()),
        }))
    }

    /// [`Self::wav`] from a file.
    /// # Errors
    /// [`ClipError`] with the file's name.
    pub fn wav_file(path: &Path, law: Law) -> Result<Arc<Self>, ClipError> {
        from_file(path, |octets| Self::wav(octets, law))
    }

    /// [`Self::raw`] from a file.
    /// # Errors
    /// [`ClipError`] with the file's name.
    pub fn raw_file(path: &Path, law: Law) -> Result<Arc<Self>, ClipError> {
        from_file(path, |octets| Self::raw(octets, law))
    }

    /// [`Self::pcap`] from a file.
    /// # Errors
    /// [`ClipError`] with the file's name.
    pub fn pcap_file(path: &Path) -> Result<Arc<Self>, ClipError> {
        from_file(path, Self::pcap)
    }

    /// Packet `index`, from 0; `None` after the last.
    #[inline]
    #[must_use]
    pub fn packet(&self, index: usize) -> Option<ClipPacket<'_>> {
        match &self.kind {
            Kind::Frames { payload_type } => {
                let start = index.checked_mul(FRAME_OCTETS)?;
                Some(ClipPacket {
                    payload: self.octets.get(start..)?.first_chunk::<FRAME_OCTETS>()?,
                    payload_type: *payload_type,
                    marker: index == 0,
                    offset: Duration::from_millis(index as u64 * 20),
                    increment: FRAME_OCTETS as u32,
                })
            }
            Kind::Packets(packets) => {
                let packet = packets.get(index)?;
                Some(ClipPacket {
                    payload: self.octets.get(packet.start..packet.end)?,
                    payload_type: packet.payload_type,
                    marker: packet.marker,
                    offset: packet.offset,
                    increment: packet.increment,
                })
            }
        }
    }

    /// Packets, at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // there is no empty clip
    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Frames { .. } => self.octets.len() / FRAME_OCTETS,
            Kind::Packets(packets) => packets.len(),
        }
    }

    /// Time until it may be played again: 20 ms after the last packet, in a capture the timestamp
    /// increment of the first (at 8 kHz).
    #[must_use]
    pub fn duration(&self) -> Duration {
        match &self.kind {
            Kind::Frames { .. } => FRAME * self.len() as u32,
            Kind::Packets(packets) => {
                let next = packets.first().map_or(0, |first| u64::from(first.increment) * 125);
                packets.last().map_or(FRAME, |last| last.offset) + Duration::from_micros(next)
            }
        }
    }

    fn frames(mut octets: Vec<u8>, law: Law) -> Arc<Self> {
        octets.resize(octets.len().next_multiple_of(FRAME_OCTETS), law.silence());
        Arc::new(Self {
            octets: octets.into(),
            kind: Kind::Frames {
                payload_type: law.payload_type(),
            },
        })
    }
}

fn from_file(path: &Path, read: impl Fn(&[u8]) -> Result<Arc<Clip>, ClipError>) -> Result<Arc<Clip>, ClipError> {
    let octets = std::fs::read(path).map_err(|error| ClipError::from(Fault::Read(error)));
    octets.and_then(|octets| read(&octets)).map_err(|error| ClipError {
        file: Some(path.to_path_buf()),
        ..error
    })
}

#[cfg(test)]
mod tests;
