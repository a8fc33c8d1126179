//! What a group of log records costs: pwrite in the shard's thread against a ring write that the
//! kernel may hand to a worker. CPU of the whole process, so the worker's share is in it.
//!
//! `cargo run --release -p ringfort-shards --example log_cost -- [folder]`
#![allow(clippy::print_stdout, unsafe_code)]

use io_uring::{IoUring, opcode, types::Fd};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

const RECORD: usize = 160;
const GROUPS: u64 = 3000;

fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn measure(name: &str, records: usize, mut write: impl FnMut(u64)) {
    let (mut worst, began, busy) = (Duration::ZERO, Instant::now(), cpu());
    for group in 0..GROUPS {
        let start = Instant::now();
        write(group);
        worst = worst.max(start.elapsed());
    }
    let busy = (cpu() - busy).as_nanos() as f64 / GROUPS as f64;
    let wall = began.elapsed().as_nanos() as f64 / GROUPS as f64;
    println!(
        "{name:8} {records:3} records: {busy:6.0} ns CPU a group, {:5.0} a record, {wall:6.0} ns to completion, worst {worst:?}",
        busy / records as f64
    );
}

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let path = std::path::Path::new(&folder).join("log_cost.tmp");
    let file = std::fs::File::create(&path).expect("a file");
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(8)
        .expect("a ring");
    for records in [1, 10, 100] {
        let octets = vec![b'x'; RECORD * records];
        measure("pwrite", records, |group| {
            file.write_all_at(&octets, group * octets.len() as u64)
                .expect("written");
        });
        file.set_len(0).expect("emptied");
        measure("io_uring", records, |group| {
            let entry = opcode::Write::new(Fd(file.as_raw_fd()), octets.as_ptr(), octets.len() as u32)
                .offset(group * octets.len() as u64)
                .build();
            // SAFETY: the octets live until the completion, which is waited for.
            unsafe { ring.submission().push(&entry) }.expect("room");
            ring.submit_and_wait(1).expect("written");
            assert!(ring.completion().all(|completion| completion.result() > 0));
        });
        file.set_len(0).expect("emptied");
    }
    std::fs::remove_file(&path).expect("removed");
}
