//! The timing wheel with 100,000 timers in it: insert, cancel, and the walk of time.

use criterion::{Criterion, criterion_group, criterion_main};
use shards::Time;
use shards::wheel::Wheel;
use std::hint::black_box;
use std::time::Duration;

/// Timers at the ages that SIP has: T1, Timer J, Timer C.
const SPANS: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(32),
    Duration::from_secs(181),
];

fn filled() -> Wheel<u32> {
    let mut wheel = Wheel::new(Time::ZERO);
    for n in 0..100_000u32 {
        let spread = Duration::from_micros(u64::from(n) * 7);
        wheel.insert(Time::ZERO + SPANS[n as usize % SPANS.len()] + spread, n);
    }
    wheel
}

fn wheel(criterion: &mut Criterion) {
    let mut wheel = filled();
    criterion.bench_function("wheel_insert_cancel", |bench| {
        bench.iter(|| {
            let id = wheel.insert(black_box(Time::from_millis(31_234)), 7);
            black_box(wheel.cancel(id))
        });
    });
    let mut wheel = filled();
    let mut now = Time::ZERO;
    criterion.bench_function("wheel_millisecond_with_2_timers", |bench| {
        bench.iter(|| {
            now += Duration::from_millis(1);
            wheel.insert(now + SPANS[0], 1);
            wheel.insert(now + SPANS[1], 2);
            while let Some(timer) = wheel.pop(now) {
                black_box(timer);
            }
            black_box(wheel.next())
        });
    });
}

criterion_group!(benches, wheel);
criterion_main!(benches);
