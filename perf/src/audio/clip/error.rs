//! Why there is no clip, in words that name the file, what was found and what is expected.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no clip, for people: `file: found …, expected …`.
#[derive(Debug)]
pub struct ClipError {
    /// The file, when it is one.
    pub file: Option<PathBuf>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with what should be a clip. The texts are in [`fmt::Display`].
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Fault {
    Read(io::Error),
    Empty,
    Tone { hz: u32, level_dbm0: f64 },
    NotWav,
    WavNoData,
    WavFormat { tag: u16, bits: u16, channels: u16 },
    WavRate(u32),
    NotCapture,
    CaptureDamaged { packets: usize },
    LinkType(i32),
    NoTimes { packets: usize },
    NoRtp { packets: usize, udp: usize, cut: usize },
}

impl std::error::Error for ClipError {}

impl From<Fault> for ClipError {
    fn from(fault: Fault) -> Self {
        Self { file: None, fault }
    }
}

impl fmt::Display for ClipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WAV: &str = "expected 16-bit PCM, A-law or mu-law at 8 or 16 kHz";
        match self {
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::Empty => write!(f, "found no audio, expected at least one octet"),
            Self::Tone { hz, level_dbm0 } => write!(
                f,
                "found a tone of {hz} Hz at {level_dbm0} dBm0, expected 1 to 3999 Hz and at most full scale (3.17 dBm0 mu-law, 3.14 A-law)"
            ),
            Self::NotWav => write!(f, "found no RIFF/WAVE header with a whole format chunk, {WAV}"),
            Self::WavNoData => write!(f, "found a WAV header without a sample after it, {WAV}"),
            Self::WavFormat { tag, bits, channels } => write!(
                f,
                "found WAV format {tag:#06x} with {bits} bits and {channels} channels, {WAV}"
            ),
            Self::WavRate(rate) => write!(f, "found a WAV of {rate} Hz, {WAV} (sox in.wav -r 8000 out.wav)"),
            Self::NotCapture => write!(f, "found neither a pcap nor a pcapng header, expected a capture of RTP"),
            Self::CaptureDamaged { packets } => write!(
                f,
                "found damage after {packets} packets and no RTP before, expected a capture of RTP"
            ),
            Self::LinkType(link) => write!(
                f,
                "found link type {link}, expected Ethernet (1), Linux cooked (113, 276), raw IP (101, 228, 229) or \
                 loopback (0, 108)"
            ),
            Self::NoTimes { packets } => write!(
                f,
                "found {packets} pcapng packets without times (simple packet blocks), expected enhanced packet blocks"
            ),
            Self::NoRtp { packets, udp, cut } => write!(
                f,
                "found {packets} packets, {udp} of them UDP ({cut} cut short by the capture), none RTP; expected an \
                 RTP stream of version 2 (tcpdump -s 0 -w file.pcap udp)"
            ),
        }
    }
}
