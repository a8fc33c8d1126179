use super::rewrite::{self, Mux, Replacement};
use super::*;
use crate::protocol::seeds;
use proptest::prelude::*;

const OFFER: &[u8] = b"v=0\r\no=alice 2890844526 2890844526 IN IP4 host.atlanta.example\r\ns=Secret subject\r\n\
i=About\r\nu=http://alice.example\r\ne=alice@atlanta.example\r\nc=IN IP4 192.0.2.10\r\nb=AS:84\r\nb=broken\r\nt=0 0\r\n\
a=group:BUNDLE 0 1\r\na=ice-lite\r\na=tool:phone\r\n\
m=audio 49170 RTP/AVP 0 8 101\r\nb=TIAS:64000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-15\r\na=ptime:20\r\na=rtcp:49555 IN IP4 192.0.2.11\r\na=rtcp-mux\r\na=candidate:1 1 UDP 1 192.0.2.10 1 typ host\r\n\
a=ice-ufrag:abc\r\na=ice-pwd:def\r\na=x-unknown:as is\r\na=sendonly\r\n\
m=video 51372/2 RTP/SAVP 99\r\nc=IN IP6 2001:db8::1\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\na=rtpmap:99 H264/90000\r\n";

fn replacement(ip: [u8; 4], port: u16) -> Replacement {
    Replacement {
        address: ip.into(),
        port,
        mux: Mux::Keep,
        direction: None,
    }
}

fn rewritten(sdp: &Sdp<'_>, replacements: &[Replacement]) -> Vec<u8> {
    let mut out = Vec::new();
    rewrite::head(&mut out, 7, 9, [203, 0, 113, 1].into());
    rewrite::body(&mut out, sdp, [203, 0, 113, 1].into(), replacements);
    out
}

#[test]
fn facts() {
    let sdp = Sdp::parse(OFFER).unwrap();
    let [audio, video] = sdp.sections() else {
        panic!("two media lines")
    };
    assert_eq!(
        (audio.media, audio.port, audio.carriage),
        (&b"audio"[..], 49170, Carriage::Rtp)
    );
    assert_eq!(audio.payload_types, 1 | 1 << 8 | 1 << 101);
    assert_eq!(audio.address, Some([192, 0, 2, 10].into()));
    assert_eq!(audio.direction, Direction::SendOnly);
    assert_eq!(audio.rtcp, Some((49555, Some([192, 0, 2, 11].into()))));
    assert!(audio.rtcp_mux && !video.rtcp_mux);
    assert_eq!(
        audio.rtpmaps().collect::<Vec<_>>(),
        [(0, &b"PCMU"[..], 8000), (101, b"telephone-event", 8000)]
    );
    assert_eq!(
        (video.port, video.carriage, video.direction),
        (51372, Carriage::Secure, Direction::SendRecv)
    );
    assert_eq!(video.address, Some("2001:db8::1".parse().unwrap()));
}

#[test]
fn topology_is_hidden_and_the_rest_passes() {
    let sdp = Sdp::parse(OFFER).unwrap();
    let out = rewritten(
        &sdp,
        &[
            replacement([203, 0, 113, 1], 20000),
            replacement([203, 0, 113, 2], 20004),
        ],
    );
    let expected = "v=0\r\no=- 7 9 IN IP4 203.0.113.1\r\ns=-\r\nc=IN IP4 203.0.113.1\r\nb=AS:84\r\nt=0 0\r\na=tool:phone\r\n\
m=audio 20000 RTP/AVP 0 8 101\r\nb=TIAS:64000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-15\r\na=ptime:20\r\na=rtcp-mux\r\na=x-unknown:as is\r\na=sendonly\r\n\
m=video 20004 RTP/SAVP 99\r\nc=IN IP4 203.0.113.2\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\na=rtpmap:99 H264/90000\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn refused_line_direction_and_mux() {
    let sdp = Sdp::parse(OFFER).unwrap();
    let mut audio = replacement([203, 0, 113, 1], 20000);
    audio.mux = Mux::Clear;
    audio.direction = Some(Direction::Inactive);
    let out = String::from_utf8(rewritten(&sdp, &[audio])).unwrap();
    assert!(!out.contains("rtcp-mux") && !out.contains("sendonly"));
    assert!(out.contains("a=x-unknown:as is\r\na=inactive\r\nm=video 0 RTP/SAVP 99\r\n"));
    assert!(!out.contains("crypto"), "a refused line keeps nothing");
    audio.mux = Mux::Set;
    assert_eq!(
        String::from_utf8(rewritten(&sdp, &[audio]))
            .unwrap()
            .matches("rtcp-mux")
            .count(),
        1
    );
}

#[test]
fn hold_by_address() {
    let text = b"v=0\no=- 1 1 IN IP4 1.2.3.4\ns=-\nc=IN IP4 0.0.0.0\nt=0 0\nm=audio 4000 RTP/AVP 0";
    let sdp = Sdp::parse(text).unwrap();
    assert!(sdp.sections()[0].is_held_by_address());
    assert_eq!(sdp.sections()[0].meant_direction(), Direction::SendOnly);
}

/// Line of a hostile table: text after a valid head, and what becomes of it.
fn verdict(tail: &str) -> Result<(), SdpError> {
    let text = format!("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n{tail}");
    Sdp::parse(text.as_bytes()).map(|sdp| {
        let new = vec![replacement([1, 1, 1, 1], 2000); sdp.sections().len()];
        let out = rewritten(&sdp, &new);
        Sdp::parse(&out).expect("what we write can be read");
    })
}

#[test]
fn hostile_table() {
    let table = [
        ("m=audio 4000 RTP/AVP 0", Ok(())),                      // no last LF (CVE-2023-27600)
        ("b=X\r\nm=audio 4000 RTP/AVP 0\r\nb=Y\r\n", Ok(())),    // b= without colon (CVE-2026-46334)
        ("m=audio 4000 RTP/AVP 0\r\na=fmtp:97 x=1\r\n", Ok(())), // fmtp without rtpmap (CVE-2018-1000098)
        (
            "m=audio 4000 RTP/AVP 0\r\na=fmtp\r\na=rtpmap\r\na=rtpmap:\r\na=rtpmap:0\r\na=rtpmap:0 /\r\n",
            Ok(()),
        ),
        (
            "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/99999999999999999999\r\na=:\r\na=\r\n",
            Ok(()),
        ),
        (
            "m=audio 4000 RTP/AVP 0\r\na=ptime:0\r\na=maxptime:65535\r\na=ptime:-1\r\n",
            Ok(()),
        ),
        (
            "m=audio 4000 RTP/AVP 0\r\na=rtcp:\r\na=rtcp:99999999\r\na=rtcp:5 IN\r\n",
            Ok(()),
        ),
        ("m=audio 0 RTP/AVP", Ok(())),
        ("\r\n\r\nm=audio 4000 RTP/AVP 0\r\n\r\n", Ok(())),
        ("x=unknown type\r\nm=audio 4000 RTP/AVP 0\r\n", Ok(())),
        ("m=message 4000 TCP/MSRP *\r\nm=image 4001 udptl t38\r\n", Ok(())),
        ("c=IN IP4 host.example\r\nm=audio 4000 RTP/AVP 0", Ok(())),
        ("c=IN IP4 224.2.1.1/127/3\r\nm=audio 4000 RTP/AVP 0", Ok(())),
        ("m=audio 65536 RTP/AVP 0", Err(SdpError::Media)),
        ("m=audio -1 RTP/AVP 0", Err(SdpError::Media)),
        ("m=audio 4000/0 RTP/AVP 0", Err(SdpError::Media)),
        ("m=audio 4000/ RTP/AVP 0", Err(SdpError::Media)),
        ("m=audio 400000000000000000000000000000 RTP/AVP 0", Err(SdpError::Media)), // CVE-2026-106803
        ("m=audio 4000 RTP/AVP 128", Err(SdpError::Media)),
        ("m=audio 4000 RTP/AVP 0x", Err(SdpError::Media)),
        ("m=audio 4000 RTP/AVP", Err(SdpError::Media)),
        ("m=audio 4000", Err(SdpError::Media)),
        ("m=audio", Err(SdpError::Media)),
        ("m=", Err(SdpError::Media)),
        ("a", Err(SdpError::Line)),
        ("sendrecv", Err(SdpError::Line)),
        ("A=sendrecv", Err(SdpError::Line)),
        ("a=x\rm=audio 1 RTP/AVP 0", Err(SdpError::Line)), // bare CR: another parser might see a line
        ("a=x\0y", Err(SdpError::Line)),
        ("c=IN IP4", Err(SdpError::Connection)),
        ("c=IN IP4 1.2.3.4.5", Err(SdpError::Connection)),
        ("c=IN IP4 999.2.3.4", Err(SdpError::Connection)),
        ("c=IN IP6 :::", Err(SdpError::Connection)),
        ("c=ATM NSAP 47.0091", Err(SdpError::Connection)),
    ];
    for (tail, expected) in table {
        assert_eq!(verdict(tail), expected, "{tail:?}");
    }
}

#[test]
fn limits() {
    assert_eq!(Sdp::parse(b"").unwrap_err(), SdpError::Size);
    assert_eq!(Sdp::parse(&[b'v'; MAX_OCTETS + 1]).unwrap_err(), SdpError::Size);
    assert_eq!(verdict(&"a=x\r\n".repeat(10_000)), Err(SdpError::Lines));
    assert_eq!(
        verdict(&"m=audio 1 RTP/AVP 0\r\n".repeat(17)),
        Err(SdpError::TooManyMedia)
    );
    assert_eq!(verdict(&"m=audio 1 RTP/AVP 0\r\n".repeat(16)), Ok(()));
    assert_eq!(verdict(&format!("m=audio 1 RTP/AVP{}", " 0".repeat(10_000))), Ok(()));
    assert_eq!(
        Sdp::parse(b"o=- 1 1 IN IP4 1.2.3.4\r\n").unwrap_err(),
        SdpError::Version
    );
    assert_eq!(Sdp::parse(b"v=0\r\ns=-\r\n").unwrap_err(), SdpError::Origin);
}

/// Each line with its separator removed, each octet removed, each prefix.
fn torture(text: &[u8]) {
    for cut in 0..text.len() {
        let _ = Sdp::parse(&text[..cut]);
        let mut without = text.to_vec();
        without.remove(cut);
        let Ok(sdp) = Sdp::parse(&without) else { continue };
        let new = vec![replacement([1, 1, 1, 1], 2000); sdp.sections().len()];
        Sdp::parse(&rewritten(&sdp, &new)).expect("what we write can be read");
    }
}

#[test]
fn seeds_and_their_mutations() {
    torture(OFFER);
    let mut valid = 0;
    for folder in ["sdp-seeds/sofia-sip", "sdp-seeds/pjsip-sdp", "sdp-seeds/pjsip-sdes"] {
        for (_, text) in seeds::files(folder) {
            valid += usize::from(Sdp::parse(&text).is_ok());
            torture(&text);
        }
    }
    assert!(!seeds::present() || valid >= 5, "{valid} of the seeds are valid");
}

/// A description made of plausible parts.
fn plausible() -> impl Strategy<Value = String> {
    let attribute = prop_oneof![
        "a=[a-z-]{1,12}",
        "a=[a-z-]{1,12}:[ -~]{0,30}",
        Just("a=rtcp-mux".to_owned()),
        Just("a=inactive".to_owned()),
        Just("a=candidate:1 1 UDP 1 1.2.3.4 5 typ host".to_owned()),
        (0u8..128, 1u32..96_000).prop_map(|(pt, rate)| format!("a=rtpmap:{pt} X/{rate}")),
    ];
    let media = (
        any::<u16>(),
        0u8..128,
        proptest::collection::vec(attribute.clone(), 0..8),
    )
        .prop_map(|(port, pt, attributes)| {
            let attributes: String = attributes.iter().map(|line| format!("{line}\r\n")).collect();
            format!("m=audio {port} RTP/AVP {pt} 101\r\n{attributes}")
        });
    (
        proptest::collection::vec(attribute, 0..5),
        proptest::collection::vec(media, 0..5),
    )
        .prop_map(|(session, media)| {
            let session: String = session.iter().map(|line| format!("{line}\r\n")).collect();
            format!(
                "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n{session}{}",
                media.concat()
            )
        })
}

proptest! {
    #[test]
    fn any_octets(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Sdp::parse(&text);
    }

    #[test]
    fn nearly_sdp(text in "(v=0\r\n)?(o=- 1 1 IN IP4 1.1.1.1\r\n)?([a-z]=[ -~]{0,20}(\r\n|\n|\r)){0,12}") {
        let _ = Sdp::parse(text.as_bytes());
    }

    #[test]
    fn written_again_it_stays_the_same(text in plausible()) {
        let first = Sdp::parse(text.as_bytes()).unwrap();
        let new: Vec<_> = first.sections().iter().map(|section| replacement([1, 1, 1, 1], section.port)).collect();
        let once = rewritten(&first, &new);
        let second = Sdp::parse(&once).unwrap();
        prop_assert_eq!(first.sections().len(), second.sections().len());
        for (before, after) in first.sections().iter().zip(second.sections()) {
            prop_assert_eq!(before.formats, after.formats);
            prop_assert_eq!(before.port, after.port);
            if before.port != 0 {
                prop_assert_eq!(before.direction, after.direction);
                prop_assert_eq!(before.rtcp_mux, after.rtcp_mux);
                prop_assert!(before.rtpmaps().eq(after.rtpmaps()));
            }
        }
        prop_assert_eq!(&rewritten(&second, &new), &once);
    }
}
