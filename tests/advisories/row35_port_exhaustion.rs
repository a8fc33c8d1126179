//! GHSA-254r: every failed offer gives its ports back.

use super::support::{SDP, invite, relayed, siege};
use ringfort_sim::siege::{STRANGER, Siege};
use ringfort_sim::stage::SERVER;

fn free(siege: &mut Siege) -> (u64, u64) {
    let figures = [0, 1].map(|shard| siege.stage.figures(shard));
    let sum =
        |of: fn(&ringfort::ops::model::MediaFigures) -> u64| figures.iter().map(|figures| of(&figures.media)).sum();
    (sum(|media| media.ports_free), sum(|media| media.ports_used))
}

/// Ten thousand in a plain run; RINGFORT_LONG=1 makes it the ten million of the demand.
#[test]
fn row35_failed_invites_leave_all_ports_free() {
    let count: u64 = if std::env::var_os("RINGFORT_LONG").is_some() {
        10_000_000
    } else {
        10_000
    };
    let mut siege = siege(35, relayed, true);
    let before = free(&mut siege);
    assert_eq!(before.1, 0);
    // The called end is gone, refuses, or answers what fits no offer; the caller offers what cannot be
    // carried, or gives up.
    siege.refuse();
    let offers = [
        SDP.to_owned(),
        SDP.replace("m=audio", "m=video"),
        SDP.replace("m=audio 4000", "m=audio 0"),
        SDP.replace("RTP/AVP", "RTP/SAVP"),
        format!("{SDP}m=audio 4002 RTP/AVP 0\r\nm=audio 4004 RTP/AVP 8\r\n"),
        SDP.replace("c=IN IP4 10.9.0.66", "c=IN IP6 ::1"),
        "v=0\r\n".to_owned(),
    ];
    let texts: Vec<String> = offers.iter().map(|offer| invite(&siege, 0, offer)).collect();
    for number in 0..count {
        let text = texts[number as usize % texts.len()]
            .replace("z9hG4bKx0", &format!("z9hG4bKx{number}"))
            .replace("m0", &format!("m{number}"));
        let say = |siege: &mut Siege, text: &str| {
            siege
                .stage
                .world
                .with_endpoint(siege.stranger, |_, cx| cx.send(STRANGER, SERVER, text.as_bytes()));
        };
        say(&mut siege, &text);
        if number % 3 == 0 {
            say(
                &mut siege,
                &text.replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL"),
            );
        }
        // The failure is acknowledged, so that the books are as short as a real caller's.
        if number % 4 == 3 {
            siege.stage.run(20);
        }
        if number % 500 == 499 {
            siege.forget();
            let used = free(&mut siege).1;
            assert!(used < 2000, "{used} ports are in use after {number}");
        }
    }
    let left = siege.rest();
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(free(&mut siege), before, "after {count} failed INVITEs");
    siege.answer();
    siege.call().expect("a valid call goes through");
}
