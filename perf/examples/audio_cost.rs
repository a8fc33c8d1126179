//! Nanoseconds a call of the audio's hot path: `cargo run --release -p ringfort-perf --example audio_cost`.

use ringfort::protocol::rtp;
use ringfort_perf::audio::clip::{Clip, ClipError, Law};
use ringfort_perf::audio::judge::Judge;
use ringfort_perf::audio::mark::Mark;
use ringfort_perf::audio::schedule::Schedule;
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

const CALLS: u32 = 2_000_000;

fn main() -> Result<(), ClipError> {
    let mark = |number| Mark {
        run: 3,
        stream: 8,
        number,
        heard: 7,
        sent_us: number.wrapping_mul(20_000),
    };
    let mut payload = [0xff; 160];
    time("Mark::write", |call| mark(call).write(black_box(&mut payload)));
    time("Mark::read", |_| _ = black_box(Mark::read(black_box(&payload))));
    let clip = Clip::tone(1_004, -10.0, Law::Mu)?;
    time("Clip::packet", |call| {
        _ = black_box(clip.packet(black_box(call as usize % 50)))
    });
    let packets: Vec<Vec<u8>> = (0..65_536u32)
        .map(|number| {
            mark(number).write(&mut payload);
            let mut packet = rtp::header(0, false, number as u16, number.wrapping_mul(160), 9).to_vec();
            packet.extend_from_slice(&payload);
            packet
        })
        .collect();
    // 11 MB of packets would time the memory; a few are enough, for 2,000 judges as a load has them.
    let mut judges = vec![Judge::default(); 2_000];
    time("Judge::packet", |call| {
        let number = call / 2_000;
        let at = u64::from(number) * 20_000 + 500;
        let judge = &mut judges[call as usize % 2_000];
        if let Some(packet) = packets.get(number as usize) {
            black_box(judge.packet(7, 3, at, black_box(packet)));
        }
    });
    let mut schedule = Schedule::new(0);
    (0..2_000).for_each(|stream| _ = schedule.join(stream, 0));
    let mut ms = 0;
    let mut due = 0u32;
    time("Schedule::due, a packet", |_| {
        if due == 0 {
            due = schedule.due(ms).map(black_box).count() as u32;
            ms += 1;
        }
        due -= 1;
    });
    Ok(())
}

fn time(name: &str, mut call: impl FnMut(u32)) {
    let start = Instant::now();
    (0..CALLS).for_each(&mut call);
    let each = start.elapsed().as_nanos() as f64 / f64::from(CALLS);
    let _ = writeln!(std::io::stdout(), "{name:24} {each:6.1} ns");
}
