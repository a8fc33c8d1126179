//! SDP, RFC 8866: a view of a description that copies nothing, and in [`rewrite`] the writer that
//! hides topology. Facts are taken out once in [`Sdp::parse`]; what we do not know passes through.
//!
//! Lenient where phones are sloppy (LF alone, no last line end, empty lines, unknown types);
//! strict where another parser might read something else (CR or NUL within a line, numbers out of
//! range).

mod kinds;
pub mod rewrite;

pub use kinds::{Carriage, Direction};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Largest description in octets.
pub const MAX_OCTETS: usize = 65_535;
/// Most lines.
pub const MAX_LINES: usize = 2_048;
/// Most media lines.
pub const MAX_MEDIA: usize = 16;

/// A checked description.
#[derive(Clone, Copy, Debug)]
pub struct Sdp<'a> {
    session: &'a [u8],
    sections: [Section<'a>; MAX_MEDIA],
    count: usize,
}

/// Why a description was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpError {
    /// Empty, or more than [`MAX_OCTETS`].
    Size,
    /// More than [`MAX_LINES`].
    Lines,
    /// A line that is not `letter=value`, or with CR or NUL inside.
    Line,
    /// Does not start with `v=0`.
    Version,
    /// No `o=`, or one that has not six fields.
    Origin,
    /// A `c=` that has not three fields, or an address that is not of its type.
    Connection,
    /// A `m=` with fields missing, a port beyond 65,535 or a payload type beyond 127.
    Media,
    /// More than [`MAX_MEDIA`] media lines.
    TooManyMedia,
}

impl SdpError {
    /// For logs and metric labels.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            SdpError::Size => "size",
            SdpError::Lines => "lines",
            SdpError::Line => "line",
            SdpError::Version => "version",
            SdpError::Origin => "origin",
            SdpError::Connection => "connection",
            SdpError::Media => "media",
            SdpError::TooManyMedia => "too_many_media",
        }
    }
}

/// One media description: an `m=` line and what follows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Section<'a> {
    /// All lines after the `m=` line.
    pub body: &'a [u8],
    /// `audio`, `video`, `image`…
    pub media: &'a [u8],
    /// Port; 0 means refused or switched off.
    pub port: u16,
    /// The `proto` field.
    pub proto: &'a [u8],
    /// What that means to us.
    pub carriage: Carriage,
    /// The formats as written.
    pub formats: &'a [u8],
    /// The formats as payload types, a bit each; 0 when not RTP.
    pub payload_types: u128,
    /// Own `c=` or the session's; `None` when there is none or when it is a name.
    pub address: Option<IpAddr>,
    /// Own direction or the session's.
    pub direction: Direction,
    /// `a=rtcp` (RFC 3605): port and, where given, address.
    pub rtcp: Option<(u16, Option<IpAddr>)>,
    /// `a=rtcp-mux` (RFC 5761).
    pub rtcp_mux: bool,
}

impl<'a> Section<'a> {
    /// The attributes of this media line, each as (name, value); `None` for a flag.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        lines(self.body)
            .filter(|line| line.letter == b'a')
            .map(|line| line.attribute())
    }

    /// The `a=rtpmap` lines as (payload type, encoding name, clock rate in Hz). Those that make no
    /// sense are left out.
    pub fn rtpmaps(&self) -> impl Iterator<Item = (u8, &'a [u8], u32)> + use<'a> {
        self.attributes()
            .filter(|(name, _)| *name == b"rtpmap")
            .filter_map(|(_, value)| {
                let (format, encoding) = split(value?, b' ');
                let (name, rate) = split(encoding.trim_ascii(), b'/');
                let (rate, _) = split(rate, b'/');
                let payload_type = number(format, 127)?;
                let rate = number(rate, MAX_CLOCK).filter(|&rate| rate > 0)?;
                Some((payload_type as u8, name, rate))
            })
    }

    /// Hold in the fashion of RFC 2543: `c=0.0.0.0`.
    #[must_use]
    pub fn is_held_by_address(&self) -> bool {
        self.address.is_some_and(|ip| ip.is_unspecified())
    }

    /// The direction with [`Section::is_held_by_address`] taken into account.
    #[must_use]
    pub fn meant_direction(&self) -> Direction {
        if self.is_held_by_address() {
            self.direction.without_receiving()
        } else {
            self.direction
        }
    }
}

impl<'a> Sdp<'a> {
    /// Parses and checks.
    /// # Errors
    /// [`SdpError`].
    pub fn parse(text: &'a [u8]) -> Result<Sdp<'a>, SdpError> {
        if text.is_empty() || text.len() > MAX_OCTETS {
            return Err(SdpError::Size);
        }
        check_lines(text)?;
        let mut parts = Parts { rest: Some(text) };
        let session = parts.next().unwrap_or(&[]);
        let defaults = Defaults::of(session)?;
        let mut sdp = Sdp {
            session,
            sections: [Section::default(); MAX_MEDIA],
            count: 0,
        };
        for part in parts {
            let place = sdp.sections.get_mut(sdp.count).ok_or(SdpError::TooManyMedia)?;
            *place = section(part, &defaults)?;
            sdp.count += 1;
        }
        Ok(sdp)
    }

    /// The media descriptions in order.
    #[must_use]
    pub fn sections(&self) -> &[Section<'a>] {
        self.sections.get(..self.count).unwrap_or(&[])
    }

    /// The lines before the first `m=`.
    pub fn session_lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        lines(self.session)
    }
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The type letter.
    pub letter: u8,
    /// What stands after `=`.
    pub value: &'a [u8],
}

impl<'a> Line<'a> {
    /// An `a=` line as (name, value); `None` for a flag.
    #[must_use]
    pub fn attribute(&self) -> (&'a [u8], Option<&'a [u8]>) {
        match self.value.iter().position(|&octet| octet == b':') {
            Some(colon) => {
                let (name, value) = split_at(self.value, colon);
                (name, Some(value))
            }
            None => (self.value.trim_ascii_end(), None),
        }
    }
}

/// The lines of checked text; empty ones are left out.
pub fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    raw_lines(text).filter_map(|line| match line {
        [letter, b'=', value @ ..] => Some(Line { letter: *letter, value }),
        _ => None,
    })
}

/// A decimal number of digits alone, at most `limit`; text of any length.
#[must_use]
pub fn number(text: &[u8], limit: u32) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |sum, &octet| {
        let digit = char::from(octet).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(digit).filter(|&sum| sum <= limit)
    })
}

/// Splits at the first `separator`; the second part is empty when there is none.
pub(crate) fn split(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|&octet| octet == separator) {
        Some(at) => split_at(text, at),
        None => (text, &[]),
    }
}

/// What stands before and after the octet at `at`.
fn split_at(text: &[u8], at: usize) -> (&[u8], &[u8]) {
    (text.get(..at).unwrap_or(text), text.get(at + 1..).unwrap_or(&[]))
}

fn raw_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&octet| octet == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn check_lines(text: &[u8]) -> Result<(), SdpError> {
    let mut count = 0;
    for line in raw_lines(text) {
        match line {
            [] => continue,
            [letter, b'=', value @ ..] if letter.is_ascii_lowercase() => {
                if value.iter().any(|&octet| octet == 0 || octet == b'\r') {
                    return Err(SdpError::Line);
                }
            }
            _ => return Err(SdpError::Line),
        }
        count += 1;
        if count > MAX_LINES {
            return Err(SdpError::Lines);
        }
    }
    Ok(())
}

/// Cuts text before each `m=`.
struct Parts<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let cut = rest.windows(3).position(|window| window == b"\nm=");
        let Some((part, after)) = cut.and_then(|at| rest.split_at_checked(at + 1)) else {
            return Some(rest);
        };
        self.rest = Some(after);
        Some(part)
    }
}

/// What media lines inherit.
struct Defaults {
    address: Option<IpAddr>,
    direction: Direction,
}

impl Defaults {
    fn of(session: &[u8]) -> Result<Defaults, SdpError> {
        let mut all = lines(session);
        if all
            .next()
            .is_none_or(|line| line.letter != b'v' || line.value.trim_ascii() != b"0")
        {
            return Err(SdpError::Version);
        }
        let mut defaults = Defaults {
            address: None,
            direction: Direction::default(),
        };
        let mut origin = false;
        for line in all {
            match line.letter {
                b'o' => origin = words(line.value).count() == 6,
                b'c' => defaults.address = connection(line.value)?,
                b'a' => defaults.direction = Direction::of(line.attribute().0).unwrap_or(defaults.direction),
                _ => {}
            }
        }
        if origin { Ok(defaults) } else { Err(SdpError::Origin) }
    }
}

fn section<'a>(text: &'a [u8], defaults: &Defaults) -> Result<Section<'a>, SdpError> {
    let (first, body) = split(text, b'\n');
    let value = first.strip_prefix(b"m=").ok_or(SdpError::Media)?.trim_ascii();
    let mut section = media_line(value).ok_or(SdpError::Media)?;
    section.body = body;
    section.address = defaults.address;
    section.direction = defaults.direction;
    let mut connected = false;
    for line in lines(body) {
        match line.letter {
            b'c' => {
                let address = connection(line.value)?;
                if !connected {
                    section.address = address;
                    connected = true;
                }
            }
            b'a' => attribute(&mut section, line.attribute()),
            _ => {}
        }
    }
    Ok(section)
}

/// `<media> <port>[/<count>] <proto> <fmt> ...`
fn media_line(value: &[u8]) -> Option<Section<'_>> {
    let (media, rest) = split(value, b' ');
    let (ports, rest) = split(rest.trim_ascii_start(), b' ');
    let (proto, formats) = split(rest.trim_ascii_start(), b' ');
    let (port, count) = split(ports, b'/');
    let port = number(port, u32::from(u16::MAX))? as u16;
    if ports.contains(&b'/') {
        number(count, u32::from(u16::MAX)).filter(|&count| count > 0)?;
    }
    let formats = formats.trim_ascii();
    // A refused line without formats is seen in the wild and hurts nobody.
    if media.is_empty() || proto.is_empty() || (formats.is_empty() && port != 0) {
        return None;
    }
    let carriage = Carriage::of(proto);
    let payload_types = if carriage.is_rtp() {
        words(formats).try_fold(0u128, |set, format| Some(set | 1 << number(format, 127)?))?
    } else {
        0
    };
    Some(Section {
        media,
        port,
        proto,
        carriage,
        formats,
        payload_types,
        ..Section::default()
    })
}

fn attribute(section: &mut Section<'_>, (name, value): (&[u8], Option<&[u8]>)) {
    match (name, value) {
        (b"rtcp-mux", None) => section.rtcp_mux = true,
        (b"rtcp", Some(value)) => {
            let (port, address) = split(value, b' ');
            if let Some(port) = number(port, u32::from(u16::MAX)) {
                section.rtcp = Some((port as u16, connection(address).ok().flatten()));
            }
        }
        (name, None) => section.direction = Direction::of(name).unwrap_or(section.direction),
        _ => {}
    }
}

/// `IN IP4 <address>[/ttl[/count]]`; `None` for a name.
fn connection(value: &[u8]) -> Result<Option<IpAddr>, SdpError> {
    let mut words = words(value);
    let (Some(net), Some(kind), Some(address), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(SdpError::Connection);
    };
    if !net.eq_ignore_ascii_case(b"IN") {
        return Err(SdpError::Connection);
    }
    let (address, _) = split(address, b'/');
    let text = std::str::from_utf8(address).map_err(|_| SdpError::Connection)?;
    let host = |text: &str| {
        text.bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
    };
    if kind.eq_ignore_ascii_case(b"IP4") {
        match text.parse::<Ipv4Addr>() {
            Ok(ip) => Ok(Some(ip.into())),
            // A name has a letter; anything else is a broken address.
            Err(_) if host(text) && text.bytes().any(|octet| octet.is_ascii_alphabetic()) => Ok(None),
            Err(_) => Err(SdpError::Connection),
        }
    } else if kind.eq_ignore_ascii_case(b"IP6") {
        match text.parse::<Ipv6Addr>() {
            Ok(ip) => Ok(Some(IpAddr::from(ip).to_canonical())),
            Err(_) if host(text) && !text.is_empty() => Ok(None),
            Err(_) => Err(SdpError::Connection),
        }
    } else {
        Err(SdpError::Connection)
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&octet| octet == b' ' || octet == b'\t')
        .filter(|word| !word.is_empty())
}

/// Beyond this a clock rate makes no sense (Hz).
const MAX_CLOCK: u32 = 1_000_000;

#[cfg(test)]
mod tests;
