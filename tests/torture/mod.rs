//! What the torture tests share: the corpus, one message's fate as a datagram, and the same
//! octets over a stream cut anywhere.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod protos;

use ringfort::protocol::sip::{Carrier, MAX_HEAD, Malformed, Spans, frame, parse, respond_malformed};
use shards::Frame;
use std::path::{Path, PathBuf};

/// The corpus folder, or a message on stderr and `None`.
pub fn corpus(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("RINGFORT_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    let folder = root.join(part);
    if !folder.is_dir() {
        eprintln!("skipped: no corpus folder {part}; set RINGFORT_CORPUS");
        return None;
    }
    Some(folder)
}

/// Unpacks an archive with the `tar` program; `None`, with a message, where there is none.
pub fn unpack(archive: &Path) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    let tar = std::process::Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(folder.path())
        .status();
    if !tar.is_ok_and(|status| status.success()) {
        eprintln!("skipped: {} cannot be unpacked", archive.display());
        return None;
    }
    Some(folder)
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
    {
        if entry.is_dir() {
            found.extend(files(&entry))
        } else {
            found.push(entry)
        }
    }
    found.sort();
    found
}

/// Rows of a tab-separated table without its first line.
pub fn table(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).expect("a table");
    text.lines()
        .skip(1)
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// What the parser says, without the view.
pub fn verdict(bytes: &[u8], carrier: Carrier) -> Result<Vec<u8>, Malformed> {
    let mut spans = Spans::default();
    parse(bytes, &mut spans, carrier).map(|message| message.bytes().to_vec())
}

/// The status line's status of the answer to a broken message.
pub fn answer(bytes: &[u8], malformed: &Malformed) -> Option<u16> {
    let mut out = Vec::new();
    let source = "198.51.100.7:5062".parse().expect("an address");
    if !respond_malformed(&mut out, bytes, malformed, source) {
        assert!(out.is_empty(), "nothing is sent");
        return None;
    }
    let mut spans = Spans::default();
    let text = String::from_utf8_lossy(&out).into_owned();
    assert!(text.starts_with("SIP/2.0 ") && text.ends_with("\r\n\r\n"), "{text}");
    if let Ok(response) = parse(&out, &mut spans, Carrier::Stream) {
        assert!(
            response.via().received.is_some() || text.contains("198.51.100.7"),
            "{text}"
        );
    }
    text.get(8..11)?.parse().ok()
}

/// What a stream gives, octet by octet from its start: the outcome of the first frame that is
/// not partial, which must be the one of the whole, at the first octet where it can be known.
pub fn framed(bytes: &[u8]) -> Frame {
    let whole = frame(bytes);
    let mut decided = None;
    for end in 0..bytes.len() {
        let frame = frame(&bytes[..end]);
        if frame == Frame::Partial {
            assert_eq!(decided, None, "partial again at {end} of {}", bytes.len());
            continue;
        }
        assert_eq!(frame, whole, "at {end} of {}", bytes.len());
        decided = Some(frame);
    }
    if let Frame::Message { len } | Frame::Bad { len } | Frame::KeepAlive { len, .. } = whole {
        assert!(len > 0 && len <= bytes.len() && len <= MAX_HEAD * 2, "{whole:?}");
    }
    whole
}

/// All frames of a stream, each message with the parser's verdict; ends at a bad frame, as the
/// connection does.
pub fn streamed(mut bytes: &[u8]) -> (Vec<Result<Vec<u8>, Malformed>>, Frame) {
    let mut verdicts = Vec::new();
    loop {
        let last = framed(bytes);
        match last {
            Frame::Message { len } => {
                verdicts.push(verdict(&bytes[..len], Carrier::Stream));
                bytes = &bytes[len..];
            }
            Frame::KeepAlive { len, .. } => bytes = &bytes[len..],
            Frame::Bad { len } => {
                let last_message = verdict(&bytes[..len], Carrier::Stream);
                assert!(last_message.is_err(), "what cannot be framed cannot be parsed");
                verdicts.push(last_message);
                return (verdicts, last);
            }
            Frame::Partial => return (verdicts, last),
        }
    }
}
