//! Echo and music: one phone alone hears something.

use super::*;
use crate::media::codec::g711;

#[test]
fn echo_sends_back_with_its_own_source() {
    let mut world = World::new();
    let offer = audio(
        A,
        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\nm=video 4002 RTP/AVP 99\r\n",
    );
    let answer = world.local(Service::Echo, &offer).unwrap();
    assert!(answer.contains(" RTP/AVP 0 8 101\r\n") && answer.contains("m=video 0 RTP/AVP 99\r\n"));
    assert!(answer.contains("a=fmtp:101 0-15\r\n") && answer.contains("a=sendrecv\r\n"));
    let own = slot(&answer, 0);
    let mut ssrc = None;
    for sequence in 0..50 {
        world.now += Duration::from_millis(20);
        let packet = voice(sequence);
        let sent = world.packet(own, A, &packet);
        assert_eq!((sent.len(), sent[0].slot, sent[0].to), (1, own, at(A)));
        let (before, after) = (rtp::check(&packet).unwrap(), rtp::check(&sent[0].octets).unwrap());
        assert_ne!(before.ssrc, after.ssrc);
        assert_eq!(*ssrc.get_or_insert(after.ssrc), after.ssrc);
        assert_eq!((before.sequence, before.timestamp), (after.sequence, after.timestamp));
        assert_eq!(packet[12..], sent[0].octets[12..]);
    }
    assert!(
        world.packet(own, "192.0.2.1:4004", &voice(1)).is_empty(),
        "only to the latched peer"
    );
    assert!(world.packet(rtcp_of(own), "192.0.2.1:4001", &REPORT).is_empty());
    // Its own stream coming back ends here.
    let mut own_stream = voice(60);
    rtp::set_ssrc(&mut own_stream, ssrc.unwrap());
    assert!(world.packet(own, A, &own_stream).is_empty());
    let mut call = std::mem::take(&mut world.call);
    let report = world.media.release(world.now, &mut call);
    assert_eq!(report.streams()[0].sides[0].packets, 51);
}

#[test]
fn two_echoes_do_not_storm() {
    let mut world = World::new();
    let own = slot(&world.local(Service::Echo, &audio(A, "")).unwrap(), 0);
    // The other echo sends everything back at once, with an SSRC of its own.
    let mut bounces = 0;
    let mut flying = Some(voice(1));
    while let Some(mut packet) = flying.take().filter(|_| bounces < 10_000) {
        rtp::set_ssrc(&mut packet, 0x1234);
        flying = world.packet(own, A, &packet).pop().map(|sent| sent.octets);
        bounces += u32::from(flying.is_some());
        world.now += Duration::from_micros(10);
    }
    assert!(bounces <= 110, "{bounces} bounces, then it is dead");
    world.now += Duration::from_secs(1);
    assert_eq!(world.packet(own, A, &voice(2)).len(), 1, "voice goes on");
}

#[test]
fn music_is_paced_and_numbered() {
    let mut world = World::new();
    let offer = described(
        at(A).ip(),
        "m=audio 4000 RTP/AVP 96 8 0 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n",
    );
    let answer = world.local(Service::Music, &offer).unwrap();
    assert!(answer.contains(" RTP/AVP 8 101\r\n"), "{answer}");
    assert!(answer.contains("a=fmtp:101 0-15\r\n") && !answer.contains("opus"));
    let own = slot(&answer, 0);
    let (sent, _) = world.pass(Duration::from_millis(5_000));
    assert!((250..=251).contains(&sent.len()), "{} packets in 5 s", sent.len());
    let headers: Vec<_> = sent.iter().map(|sent| rtp::check(&sent.octets).unwrap()).collect();
    assert!(headers[0].marker && headers[1..].iter().all(|header| !header.marker));
    for (pair, sent) in headers.windows(2).zip(&sent) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
        assert_eq!(
            (pair[0].ssrc, pair[0].payload_type, sent.octets.len()),
            (headers[0].ssrc, 8, 172)
        );
        assert_eq!((sent.slot, sent.to), (own, at(A)));
    }
    let loudest = sent
        .iter()
        .flat_map(|sent| &sent.octets[12..])
        .map(|&code| g711::from_a_law(code))
        .max()
        .unwrap();
    assert!(loudest > 1_000, "it can be heard");
    // A stall is not made up for in a burst.
    world.now += Duration::from_secs(3);
    let (late, _) = world.pass(Duration::ZERO);
    assert_eq!(late.len(), 1);
    let header = rtp::check(&late[0].octets).unwrap();
    assert!(header.timestamp.wrapping_sub(headers.last().unwrap().timestamp) >= 24_000);
    // What the peer sends is counted, nothing else.
    assert!(world.packet(own, A, &[voice(1).as_slice()].concat()).is_empty());
    let mut call = std::mem::take(&mut world.call);
    world.media.release(world.now, &mut call);
    assert!(world.pass(Duration::from_secs(10)).0.is_empty());
    assert_eq!(world.media.deadline(), None, "nothing is left to wait for");
}

#[test]
fn music_by_name_and_without_a_codec() {
    let mut world = World::new();
    let dynamic = described(at(A).ip(), "m=audio 4000 RTP/AVP 97\r\na=rtpmap:97 pcmu/8000\r\n");
    let answer = world.local(Service::Music, &dynamic).unwrap();
    assert!(answer.contains(" RTP/AVP 97\r\n"));
    let (sent, _) = world.pass(Duration::from_millis(100));
    assert_eq!(rtp::check(&sent[0].octets).unwrap().payload_type, 97);
    for refused in [
        "m=audio 4000 RTP/AVP 9 18\r\n",
        "m=audio 4000 RTP/SAVP 0\r\n",
        "m=video 4000 RTP/AVP 0\r\n",
        "m=audio 0 RTP/AVP 0\r\n",
    ] {
        let mut world = World::new();
        let offer = described(at(A).ip(), refused);
        assert_eq!(
            world.local(Service::Music, &offer),
            Err(MediaError::NoCodec),
            "{refused}"
        );
        assert!(world.call.is_empty() && world.media.counters().ports_used == 0);
    }
}

#[test]
fn hold_stops_the_music() {
    let mut world = World::new();
    let first = world.local(Service::Music, &audio(A, "")).unwrap();
    for (offered, answered, plays) in [
        ("a=sendonly\r\n", "a=recvonly\r\n", false),
        ("a=inactive\r\n", "a=inactive\r\n", false),
        ("a=recvonly\r\n", "a=sendonly\r\n", true),
        ("", "a=sendrecv\r\n", true),
    ] {
        let answer = world.local(Service::Music, &audio(A, offered)).unwrap();
        assert!(answer.ends_with(answered), "{answer}");
        assert_eq!(slot(&answer, 0), slot(&first, 0));
        let (sent, _) = world.pass(Duration::from_millis(200));
        assert_eq!(!sent.is_empty(), plays, "{offered}");
        if offered == "a=recvonly\r\n" {
            assert!(rtp::check(&sent[0].octets).unwrap().marker, "a new talkspurt");
        }
    }
    let by_address = audio(A, "").replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0");
    world.local(Service::Music, &by_address).unwrap();
    assert!(world.pass(Duration::from_millis(200)).0.is_empty());
}

#[test]
fn services_can_offer() {
    for service in [Service::Music, Service::Echo] {
        let mut world = World::new();
        let offer = world.local(service, "").unwrap();
        assert!(offer.contains(" RTP/AVP 0 8 101\r\n"));
        assert!(
            world.pass(Duration::from_secs(1)).0.is_empty(),
            "nothing before the answer"
        );
        assert_eq!(
            world
                .answer(Side::A, &described(at(A).ip(), "m=audio 4000 RTP/AVP 9\r\n"))
                .is_err(),
            service == Service::Music
        );
        assert_eq!(world.answer(Side::A, &audio(A, "")).unwrap(), "");
        let own = slot(&offer, 0);
        let sent = match service {
            Service::Music => world.pass(Duration::from_millis(100)).0,
            Service::Echo => world.packet(own, A, &voice(1)),
        };
        assert_eq!((sent[0].slot, sent[0].to), (own, at(A)));
        // A re-INVITE without a description: the same text again.
        assert_eq!(world.local(service, "").unwrap(), offer);
        world.media.reject(&mut world.call);
        assert_eq!(world.local(service, &audio(A, "")).map(|sdp| slot(&sdp, 0)), Ok(own));
    }
}

#[test]
fn music_follows_a_learnt_phone() {
    let mut world = World::new();
    world.signalling[0] = ip("203.0.113.9");
    let own = slot(&world.local(Service::Music, &audio("192.168.1.5:4000", "")).unwrap(), 0);
    assert_eq!(world.pass(Duration::from_millis(40)).0[0].to, at("192.168.1.5:4000"));
    world.packet(own, "203.0.113.9:31000", &voice(1));
    assert_eq!(world.pass(Duration::from_millis(40)).0[0].to, at("203.0.113.9:31000"));
}
