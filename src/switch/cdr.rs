//! Call detail records: one JSON line a call, written when it ends.

use crate::ops::stats::CallResult;
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
    let text = |out: &mut Vec<u8>, name: &str, value: &[u8]| {
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_string(out, value);
        out.push(b',');
    };
    out.push(b'{');
    text(out, "id", cdr.id);
    text(out, "call_id", cdr.call_id);
    text(out, "from", cdr.from);
    text(out, "to", cdr.to);
    text(out, "mode", cdr.mode.as_bytes());
    text(out, "result", cdr.result.label().as_bytes());
    text(out, "hung_up_by", cdr.hung_up_by.as_bytes());
    let seconds = |from: Wall| cdr.ended.0.saturating_sub(from.0) as f64 / 1000.0;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "\"started\":{},\"answered\":", cdr.started.0);
    let _ = match cdr.answered {
        Some(at) => write!(out, "{},", at.0),
        None => write!(out, "null,"),
    };
    let _ = write!(
        out,
        "\"ended\":{},\"seconds\":{:.3},\"billed_seconds\":{:.3},\"status\":{},\"shard\":{}",
        cdr.ended.0,
        seconds(cdr.started),
        cdr.answered.map_or(0.0, seconds),
        cdr.status,
        cdr.shard
    );
    if !cdr.media.is_empty() {
        out.extend_from_slice(b",\"media\":");
        out.extend_from_slice(cdr.media);
    }
    out.extend_from_slice(b"}\n");
}

/// Writes a JSON string. Octets that are not UTF-8 are shown as U+FFFD: peers choose them.
fn write_string(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(b'"');
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
    out.push(b'"');
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
        assert_eq!((value["billed_seconds"].as_f64(), value["seconds"].as_f64()), (Some(6.5), Some(9.0)));
    }
}
