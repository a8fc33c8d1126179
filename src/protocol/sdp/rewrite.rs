//! The writer that hides topology: our origin, our addresses and ports, no ICE; all else (codecs,
//! parameters, keys, directions, unknown attributes) passes through in order.

use super::{Direction, Line, Sdp, Section, lines, split};
use crate::protocol::decimal::{write_ip, write_number};
use std::io::Write;
use std::net::IpAddr;

/// What one media line becomes.
#[derive(Clone, Copy, Debug)]
pub struct Replacement {
    /// Address to show.
    pub address: IpAddr,
    /// RTP port to show; RTCP is the next (RFC 3550 section 11). 0 refuses the line.
    pub port: u16,
    /// What to do about `a=rtcp-mux`.
    pub mux: Mux,
    /// Another direction than the one written.
    pub direction: Option<Direction>,
}

/// What to do about `a=rtcp-mux`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mux {
    /// As it is.
    Keep,
    /// Must be there.
    Set,
    /// Must not be there.
    Clear,
}

/// Appends `v=` and `o=`. `version` has to rise whenever the body changes (RFC 3264 section 8).
pub fn head(out: &mut Vec<u8>, session: u64, version: u64, address: IpAddr) {
    out.extend_from_slice(b"v=0\r\no=- ");
    write_number(out, session);
    out.push(b' ');
    write_number(out, version);
    out.push(b' ');
    write_place(out, address);
}

/// Appends `IN IP4 address` and the end of line.
fn write_place(out: &mut Vec<u8>, address: IpAddr) {
    out.extend_from_slice(b"IN ");
    out.extend_from_slice(kind(address).as_bytes());
    out.push(b' ');
    write_ip(out, address);
    out.extend_from_slice(b"\r\n");
}

/// Appends everything after `o=`. Lines beyond `replacements` are refused.
pub fn body(out: &mut Vec<u8>, sdp: &Sdp<'_>, address: IpAddr, replacements: &[Replacement]) {
    let shown = replacements
        .iter()
        .find(|new| new.port != 0)
        .map_or(address, |new| new.address);
    out.extend_from_slice(b"s=-\r\nc=");
    write_place(out, shown);
    // RFC 8866 section 5 fixes the order b, t (r, z), k and a.
    sdp.session_lines()
        .filter(|line| line.letter == b'b' && is_sound(line))
        .for_each(|line| copy(out, line));
    if !sdp.session_lines().any(|line| line.letter == b't') {
        out.extend_from_slice(b"t=0 0\r\n");
    }
    sdp.session_lines()
        .filter(|line| b"trz".contains(&line.letter))
        .for_each(|line| copy(out, line));
    sdp.session_lines()
        .filter(|line| b"ka".contains(&line.letter) && is_sound(line) && !is_hidden(line))
        .for_each(|line| copy(out, line));
    for (at, section) in sdp.sections().iter().enumerate() {
        match replacements.get(at) {
            Some(new) if new.port != 0 => media(out, section, shown, new),
            _ => media_line(out, section, 0),
        }
    }
}

fn media(out: &mut Vec<u8>, section: &Section<'_>, shown: IpAddr, new: &Replacement) {
    media_line(out, section, new.port);
    lines(section.body)
        .filter(|line| line.letter == b'i')
        .take(1)
        .for_each(|line| copy(out, line));
    if new.address != shown {
        out.extend_from_slice(b"c=");
        write_place(out, new.address);
    }
    let mut muxed = false;
    for line in lines(section.body).filter(|line| b"bka".contains(&line.letter)) {
        if !is_sound(&line) || is_hidden(&line) {
            continue;
        }
        let is_attribute = line.letter == b'a';
        if is_attribute && line.attribute() == (b"rtcp-mux", None) {
            if new.mux == Mux::Clear || muxed {
                continue;
            }
            muxed = true;
        }
        if is_attribute && new.direction.is_some() && Direction::of(line.attribute().0).is_some() {
            continue;
        }
        copy(out, line);
    }
    if new.mux == Mux::Set && !muxed {
        out.extend_from_slice(b"a=rtcp-mux\r\n");
    }
    if let Some(direction) = new.direction {
        put(out, format_args!("a={}\r\n", direction.text()));
    }
}

fn media_line(out: &mut Vec<u8>, section: &Section<'_>, port: u16) {
    out.extend_from_slice(b"m=");
    out.extend_from_slice(section.media);
    out.push(b' ');
    write_number(out, u64::from(port));
    out.push(b' ');
    out.extend_from_slice(section.proto);
    // RFC 8866 section 9 wants a format even in a refused line.
    let formats = if section.formats.is_empty() {
        b"0"
    } else {
        section.formats
    };
    out.push(b' ');
    out.extend_from_slice(formats);
    out.extend_from_slice(b"\r\n");
}

/// False for lines that would make another parser stumble: `b=` without a colon
/// (CVE-2026-46334), an attribute without a name.
fn is_sound(line: &Line<'_>) -> bool {
    match line.letter {
        b'b' => {
            let (kind, value) = split(line.value, b':');
            !kind.is_empty() && !value.is_empty()
        }
        b'a' => !line.attribute().0.is_empty(),
        _ => true,
    }
}

/// Attributes that show addresses, or that bind the two ends to what we do not do: ICE (RFC 8839),
/// alternative addresses, one port for all lines (BUNDLE, RFC 9143). RTCP is always our next port.
fn is_hidden(line: &Line<'_>) -> bool {
    if line.letter != b'a' {
        return false;
    }
    let (name, value) = line.attribute();
    match name {
        b"candidate" | b"remote-candidates" | b"end-of-candidates" | b"ice2" => true,
        b"rtcp" | b"rtcp-mux-only" | b"bundle-only" => true,
        b"alt" | b"altc" | b"ccap" | b"source-filter" => true,
        b"group" => value.is_some_and(|value| split(value.trim_ascii_start(), b' ').0 == b"BUNDLE"),
        name => name.starts_with(b"ice-"),
    }
}

fn copy(out: &mut Vec<u8>, line: Line<'_>) {
    out.push(line.letter);
    out.push(b'=');
    out.extend_from_slice(line.value);
    out.extend_from_slice(b"\r\n");
}

/// `IP4` or `IP6`.
#[must_use]
pub fn kind(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IP4" } else { "IP6" }
}

/// Writing to a vector cannot fail.
pub(crate) fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "a vector takes everything");
}
