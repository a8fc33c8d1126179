//! Streams: however the octets are cut, the same messages come out.

use ringfort::protocol::sip::{Carrier, MAX_BODY, MAX_HEAD, Spans, frame, parse};
use shards::Frame;

/// What a connection makes of its octets: where each frame ends, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    ends: Vec<(usize, bool)>,
    bad: Option<usize>,
}

/// The first octet says how long the pieces are; the rest is the stream.
pub(super) fn stream(octets: &[u8]) {
    let Some((&step, stream)) = octets.split_first() else {
        return;
    };
    let whole = cut(stream, stream.len().max(1));
    let pieces = cut(stream, usize::from(step).max(1));
    assert_eq!(whole, pieces, "in pieces of {step}");
    let mut start = 0;
    for &(end, message) in &whole.ends {
        let part = &stream[start..end];
        start = end;
        let mut spans = Spans::default();
        if let (true, Ok(message)) = (message, parse(part, &mut spans, Carrier::Stream)) {
            assert_eq!(message.bytes().len(), part.len(), "the parser finds the same end");
        }
    }
    if let Some(end) = whole.bad {
        let mut spans = Spans::default();
        assert!(
            parse(&stream[start..end], &mut spans, Carrier::Stream).is_err(),
            "what cannot be framed cannot be parsed"
        );
    }
}

fn cut(stream: &[u8], step: usize) -> Cut {
    let (mut ends, mut start, mut come) = (Vec::new(), 0, 0);
    loop {
        match frame(&stream[start..come]) {
            Frame::Partial if come == stream.len() => return Cut { ends, bad: None },
            Frame::Partial => come = (come + step).min(stream.len()),
            Frame::Message { len } => {
                assert!(len > 0 && len <= MAX_HEAD + MAX_BODY);
                start += len;
                ends.push((start, true));
            }
            Frame::KeepAlive { len, .. } => {
                assert!(len > 0);
                start += len;
                ends.push((start, false));
            }
            Frame::Bad { len } => {
                assert!(len > 0);
                return Cut {
                    ends,
                    bad: Some(start + len),
                };
            }
        }
        assert!(start <= come);
    }
}
