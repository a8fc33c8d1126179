//! Call detail records: one JSON line a call, written when it ends.

use crate::ops::stats::CallResult;
use crate::protocol::sip::write_number;
use shards::{ShardId, Wall};
use std::io::Write;

/// What a record says.
#[derive(Clone, Copy, Debug)]
pub struct Cdr<'a> {
    /// Our name of the call.
    pub id: &'a [u8],
    /// Call-ID of the caller's leg.
    pub call_id: &'a [u8],
    /// Caller's URI.
    pub from: &'a [u8],
    /// Called URI.
    pub to: &'a [u8],
    /// `proxy`, `b2bua` or `service`.
    pub mode: &'static str,
    /// When the INVITE came.
    pub started: Wall,
    /// When it was answered.
    pub answered: Option<Wall>,
    /// When it ended.
    pub ended: Wall,
    /// The final status of the INVITE; 200 for answered calls.
    pub status: u16,
    /// How it ended.
    pub result: CallResult,
    /// `caller`, `callee` or `server`.
    pub hung_up_by: &'static str,
    /// The call's home.
    pub shard: ShardId,
    /// JSON of the media report, or empty.
    pub media: &'a [u8],
}

/// Appends the record as one line.
pub fn write(out: &mut Vec<u8>, cdr: &Cdr<'_>) {
    let span = |from: Wall| cdr.ended.0.saturating_sub(from.0);
    let text = |out: &mut Vec<u8>, before: &str, value: &[u8]| {
        out.extend_from_slice(before.as_bytes());
        write_string(out, value);
    };
    let number = |out: &mut Vec<u8>, before: &str, value: u64| {
        out.extend_from_slice(before.as_bytes());
        write_number(out, value);
    };
    text(out, "{\"id\":", cdr.id);
    // The id names a place in a shard's tables and comes again after a restart of the shard; with the start it does not.
    out.extend_from_slice(b",\"record\":\"");
    out.extend_from_slice(cdr.id);
    number(out, "-", cdr.started.0);
    out.push(b'"');
    text(out, ",\"call_id\":", cdr.call_id);
    text(out, ",\"from\":", cdr.from);
    text(out, ",\"to\":", cdr.to);
    // Words of ours need no escapes.
    out.extend_from_slice(b",\"mode\":\"");
    out.extend_from_slice(cdr.mode.as_bytes());
    out.extend_from_slice(b"\",\"result\":\"");
    out.extend_from_slice(cdr.result.label().as_bytes());
    out.extend_from_slice(b"\",\"hung_up_by\":\"");
    out.extend_from_slice(cdr.hung_up_by.as_bytes());
    number(out, "\",\"started\":", cdr.started.0);
    match cdr.answered {
        Some(at) => number(out, ",\"answered\":", at.0),
        None => out.extend_from_slice(b",\"answered\":null"),
    }
    number(out, ",\"ended\":", cdr.ended.0);
    out.extend_from_slice(b",\"seconds\":");
    write_seconds(out, span(cdr.started));
    out.extend_from_slice(b",\"billed_seconds\":");
    write_seconds(out, cdr.answered.map_or(0, span));
    number(out, ",\"status\":", u64::from(cdr.status));
    number(out, ",\"shard\":", u64::from(cdr.shard));
    if !cdr.media.is_empty() {
        out.extend_from_slice(b",\"media\":");
        out.extend_from_slice(cdr.media);
    }
    out.extend_from_slice(b"}\n");
}

/// Writes milliseconds as seconds with three decimals.
fn write_seconds(out: &mut Vec<u8>, millis: u64) {
    write_number(out, millis / 1000);
    let rest = millis % 1000;
    let digit = |unit: u64| b'0' + (rest / unit % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

/// Writes a JSON string. Octets that are not UTF-8 are shown as U+FFFD: peers choose them.
fn write_string(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(b'"');
    if octets.iter().fold(true, |plain, &octet| plain & is_plain(octet)) {
        // Nearly always; without an early way out the check runs over many octets at a time.
        out.extend_from_slice(octets);
    } else {
        write_escaped(out, octets);
    }
    out.push(b'"');
}

/// ASCII that stands for itself in a JSON string.
const fn is_plain(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') & !matches!(octet, b'"' | b'\\')
}

fn write_escaped(out: &mut Vec<u8>, octets: &[u8]) {
    for chunk in octets.utf8_chunks() {
        for octet in chunk.valid().bytes() {
            match octet {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', octet]),
                0..=0x1f | 0x7f => {
                    let _ = write!(out, "\\u{octet:04x}");
                }
                _ => out.push(octet),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// The result that a final status stands for, before an answer.
#[must_use]
pub fn result_of(status: u16) -> CallResult {
    match status {
        200..=299 => CallResult::Completed,
        486 | 600 => CallResult::Busy,
        408 | 480 => CallResult::NoAnswer,
        404 | 484 | 604 => CallResult::NotFound,
        487 => CallResult::Cancelled,
        300..=499 | 603 | 606 => CallResult::Rejected,
        _ => CallResult::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_line() {
        let record = Cdr {
            id: b"0001-p0000000200000003",
            call_id: b"a84b4c@pc33",
            from: b"sip:a@h",
            to: b"sip:b@h",
            mode: "proxy",
            started: Wall(1_767_225_600_000),
            answered: Some(Wall(1_767_225_603_995)),
            ended: Wall(1_767_225_664_002),
            status: 200,
            result: CallResult::Completed,
            hung_up_by: "callee",
            shard: 1,
            media: b"",
        };
        let line = |record: &Cdr<'_>| {
            let mut line = Vec::new();
            write(&mut line, record);
            String::from_utf8(line).unwrap()
        };
        let head = "{\"id\":\"0001-p0000000200000003\",\"record\":\"0001-p0000000200000003-1767225600000\",\"call_id\":\"a84b4c@pc33\",\"from\":\"sip:a@h\",\"to\":\"sip:b@h\",\
            \"mode\":\"proxy\",\"result\":\"completed\",\"hung_up_by\":\"callee\",\"started\":1767225600000";
        assert_eq!(
            line(&record),
            format!(
                "{head},\"answered\":1767225603995,\"ended\":1767225664002,\"seconds\":64.002,\
                 \"billed_seconds\":60.007,\"status\":200,\"shard\":1}}\n"
            )
        );
        let unanswered = Cdr {
            answered: None,
            media: b"[]",
            ..record
        };
        assert_eq!(
            line(&unanswered),
            format!(
                "{head},\"answered\":null,\"ended\":1767225664002,\"seconds\":64.002,\
                 \"billed_seconds\":0.000,\"status\":200,\"shard\":1,\"media\":[]}}\n"
            )
        );
    }

    #[test]
    fn the_same_place_after_a_restart_makes_another_record() {
        let record = |started| {
            let mut line = Vec::new();
            let cdr = Cdr {
                id: b"0001-b0000000100000001",
                call_id: b"x",
                from: b"sip:a@h",
                to: b"sip:b@h",
                mode: "b2bua",
                started: Wall(started),
                answered: None,
                ended: Wall(started + 5),
                status: 200,
                result: CallResult::Completed,
                hung_up_by: "caller",
                shard: 1,
                media: b"",
            };
            write(&mut line, &cdr);
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            value["record"].as_str().unwrap().to_owned()
        };
        assert_ne!(record(1_000), record(1_900));
    }

    #[test]
    fn hostile_text_stays_one_json_line() {
        let mut line = Vec::new();
        write(
            &mut line,
            &Cdr {
                id: b"1-2",
                call_id: b"a\"\\\r\n\x00\xff\xfe",
                from: "sip:\u{e9}@h".as_bytes(),
                to: b"sip:x@y",
                mode: "proxy",
                started: Wall(1_000),
                answered: Some(Wall(3_500)),
                ended: Wall(10_000),
                status: 200,
                result: CallResult::Completed,
                hung_up_by: "caller",
                shard: 1,
                media: b"{\"x\":1}",
            },
        );
        assert_eq!(line.iter().filter(|&&octet| octet == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["call_id"], "a\"\\\r\n\u{0}\u{fffd}\u{fffd}");
        assert_eq!(
            (value["billed_seconds"].as_f64(), value["seconds"].as_f64()),
            (Some(6.5), Some(9.0))
        );
    }
}
