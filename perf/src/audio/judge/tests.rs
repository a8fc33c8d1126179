//! A far stream (number 8) is heard by stream 7 in run 3, with each thing that may go wrong.

use super::*;
use crate::audio::mark::PAYLOAD_OCTETS;
use proptest::prelude::*;

const ME: u32 = 7;
const FAR: u32 = 8;
const RUN: u32 = 0xab00_0003; // more than 24 bits: what the mark carries counts

fn packet(number: u32, mark: Option<Mark>) -> Vec<u8> {
    let mut payload = [0xff; PAYLOAD_OCTETS];
    if let Some(mark) = mark {
        mark.write(&mut payload);
    }
    let mut packet = rtp::header(0, number == 0, number as u16, number.wrapping_mul(160), 99).to_vec();
    packet.extend_from_slice(&payload);
    packet
}

fn mark(stream: u32, number: u32) -> Option<Mark> {
    Some(Mark {
        run: RUN,
        stream,
        number,
        heard: 0,
        sent_us: sent(number) as u32,
    })
}

/// Just below a wrap of the mark's 32 bits.
fn sent(number: u32) -> u64 {
    (5 << 32) - 30_000 + u64::from(number) * 20_000
}

fn hear(judge: &mut Judge, number: u32, stream: u32) -> Heard {
    judge.packet(ME, RUN, sent(number) + 500, &packet(number, mark(stream, number)))
}

#[test]
fn a_clean_call() {
    let mut judge = Judge::default();
    assert_eq!(judge.verdict(None).mos, None);
    for number in 0..100 {
        let heard = hear(&mut judge, number, FAR);
        assert_eq!((heard.kind, heard.delay_us), (Kind::Fresh, Some(500)));
    }
    let verdict = judge.verdict(Some(100));
    assert_eq!((verdict.received, verdict.lost, verdict.jitter_us), (100, 0, 0));
    assert_eq!(
        (verdict.far, verdict.echo, verdict.longest_gap_us),
        (FAR, false, 20_000)
    );
    assert_eq!(
        (verdict.first_us, verdict.last_us),
        (Some(sent(0) + 500), Some(sent(99) + 500))
    );
    assert_eq!(verdict.delay_us.map(|delay| (delay.min, delay.max)), Some((500, 500)));
    assert!(verdict.mos.is_some_and(|mos| mos > 4.39));
}

#[test]
fn loss_at_the_ends_needs_the_peer() {
    let mut judge = Judge::default();
    for number in [5, 6, 8, 9] {
        hear(&mut judge, number, FAR);
    }
    assert_eq!((judge.verdict(None).expected, judge.verdict(None).lost), (5, 1));
    let exact = judge.verdict(Some(12));
    assert_eq!((exact.lost, exact.loss), (8, 8.0 / 12.0));
    let none = Judge::default().verdict(Some(50));
    assert_eq!((none.lost, none.loss, none.first_us), (50, 1.0, None));
    assert!(none.mos.is_some_and(|mos| mos < 1.2));
}

#[test]
fn copies_and_late_packets() {
    let mut judge = Judge::default();
    let kinds = [0, 2, 1, 2, 1, 3].map(|number| hear(&mut judge, number, FAR).kind);
    use Kind::{Duplicate, Fresh, Late};
    assert_eq!(kinds, [Fresh, Fresh, Late, Duplicate, Duplicate, Fresh]);
    let verdict = judge.verdict(None);
    assert_eq!(
        (verdict.received, verdict.lost, verdict.duplicates, verdict.late),
        (4, 0, 2, 1)
    );
}

#[test]
fn a_third_stream_is_crosstalk_and_upsets_nothing() {
    let mut judge = Judge::default();
    hear(&mut judge, 0, FAR);
    assert_eq!(hear(&mut judge, 40_000, 12).kind, Kind::Crosstalk);
    assert_eq!(hear(&mut judge, 1, FAR).kind, Kind::Fresh);
    let deaf = mark(FAR, 2).map(|mark| Mark { heard: 12, ..mark });
    let heard = judge.packet(ME, RUN, sent(2), &packet(2, deaf));
    assert_eq!((heard.kind, heard.delay_us), (Kind::Crosstalk, Some(0)));
    let fine = mark(FAR, 3).map(|mark| Mark { heard: ME, ..mark });
    assert_eq!(judge.packet(ME, RUN, sent(3), &packet(3, fine)).kind, Kind::Fresh);
    let verdict = judge.verdict(Some(4));
    assert_eq!((verdict.crosstalk, verdict.received, verdict.lost), (2, 4, 0));
}

#[test]
fn an_echo_hears_itself() {
    let mut judge = Judge::default();
    assert_eq!(hear(&mut judge, 0, ME).kind, Kind::Fresh);
    let own = mark(ME, 1).map(|mark| Mark { heard: ME, ..mark });
    assert_eq!(judge.packet(ME, RUN, sent(1), &packet(1, own)).kind, Kind::Fresh);
    assert!(judge.verdict(None).echo);
    assert_eq!(hear(&mut judge, 2, FAR).kind, Kind::Crosstalk);
}

#[test]
fn damage_and_foreign_audio() {
    let mut judge = Judge::default();
    assert_eq!(judge.packet(ME, RUN, 1, &packet(0, None)).kind, Kind::Unmarked);
    assert_eq!(hear(&mut judge, 1, FAR).kind, Kind::Fresh);
    let mut flipped = packet(2, mark(FAR, 2));
    flipped[12 + 70] ^= 1;
    assert_eq!(judge.packet(ME, RUN, sent(2), &flipped).kind, Kind::Damaged);
    let cut = &packet(3, mark(FAR, 3))[..120];
    assert_eq!(judge.packet(ME, RUN, sent(3), cut).kind, Kind::Damaged);
    assert_eq!(judge.packet(ME, RUN, sent(4), b"hello").kind, Kind::Damaged);
    let control = judge.packet(ME, RUN, sent(4), &[0x80, 200, 0, 6]);
    assert_eq!(control.kind, Kind::Control);
    let older = mark(12, 4).map(|mark| Mark { run: 2, ..mark });
    assert_eq!(judge.packet(ME, RUN, sent(4), &packet(4, older)).kind, Kind::Unmarked);
    let verdict = judge.verdict(Some(5));
    assert_eq!((verdict.damaged, verdict.unmarked, verdict.lost), (3, 2, 0));
}

proptest! {
    #[test]
    fn any_octets_are_judged(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let mut judge = Judge::default();
        for (at, packet) in (0u64..).zip(&packets) {
            judge.packet(ME, RUN, at, packet);
        }
        let verdict = judge.verdict(None);
        prop_assert!(verdict.received <= packets.len() as u32 && (0.0..=1.0).contains(&verdict.loss));
    }
}
