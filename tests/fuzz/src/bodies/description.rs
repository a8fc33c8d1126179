//! SDP: what is rewritten reads as the same description, with our address and ports.

use super::message::show;
use ringfort::protocol::sdp::rewrite::{self, Mux, Replacement};
use ringfort::protocol::sdp::{MAX_MEDIA, Sdp, Section};
use std::net::{IpAddr, Ipv4Addr};

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

pub(super) fn sdp(octets: &[u8]) {
    let Ok(sdp) = Sdp::parse(octets) else { return };
    assert!(sdp.sections().len() <= MAX_MEDIA);
    for section in sdp.sections() {
        assert!(section.rtpmaps().all(|(format, _, rate)| format < 128 && rate > 0));
        let _ = (section.meant_direction(), section.attributes().count());
    }
    let first = rewritten(&sdp, 20_000);
    let again = Sdp::parse(&first).unwrap_or_else(|fault| panic!("{fault:?}: {}", show(&first)));
    assert_eq!(again.sections().len(), sdp.sections().len(), "{}", show(&first));
    for (line, (new, old)) in again.sections().iter().zip(sdp.sections()).enumerate() {
        same_line(new, old);
        if old.port == 0 {
            assert_eq!(new.port, 0, "what is switched off stays so");
        } else {
            assert_eq!((usize::from(new.port), new.address), (20_000 + 2 * line, Some(OURS)));
            assert_eq!(
                (new.direction, new.rtcp_mux),
                (old.direction, old.rtcp_mux),
                "{}",
                show(&first)
            );
            assert_eq!(new.rtcp, None);
        }
    }
    // What was written is rewritten to itself.
    assert_eq!(show(&rewritten(&again, 20_000)), show(&first));
}

pub(super) fn same_line(new: &Section<'_>, old: &Section<'_>) {
    assert_eq!(
        (show(new.media), show(new.proto), new.carriage),
        (show(old.media), show(old.proto), old.carriage)
    );
    // A line without formats gets one (RFC 8866 section 9).
    if !old.formats.is_empty() {
        assert_eq!(show(new.formats), show(old.formats));
        assert_eq!(new.payload_types, old.payload_types);
    }
}

fn rewritten(sdp: &Sdp<'_>, port: u16) -> Vec<u8> {
    let new = |(line, section): (usize, &Section<'_>)| Replacement {
        address: OURS,
        port: if section.port == 0 { 0 } else { port + 2 * line as u16 },
        mux: Mux::Keep,
        direction: None,
    };
    let replacements: Vec<_> = sdp.sections().iter().enumerate().map(new).collect();
    let mut out = Vec::new();
    rewrite::head(&mut out, 1, 2, OURS);
    rewrite::body(&mut out, sdp, OURS, &replacements);
    out
}
