//! Measurements behind the design, printed and never asserted:
//! `cargo test --release --lib store::measure -- --ignored --nocapture --test-threads=1`

use crate::store::database::Database;
use crate::store::{Store, journal};
use rusqlite::Connection;
use shards::{LogFile, Wall};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const BINDINGS: usize = 75_000;
/// A registrar's record of an AOR: contact, path, Call-ID, user agent, expiry.
const VALUE_OCTETS: usize = 220;

fn key(index: usize) -> Vec<u8> {
    format!("{:07}@campus.example", index * 7_919 % 10_000_000).into_bytes()
}

fn value(round: u8) -> Vec<u8> {
    vec![b'a' + round; VALUE_OCTETS]
}

/// Processor time of this thread in nanoseconds.
fn processor() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Runs `work` and prints its cost for each of `count` records.
fn cost(what: &str, count: usize, work: impl FnOnce()) {
    let (wall, on_processor) = (Instant::now(), processor());
    work();
    let (wall, on_processor) = (wall.elapsed(), processor() - on_processor);
    eprintln!(
        "{what:<58} {:>9.0} ns CPU  {:>9.0} ns wall  a record",
        on_processor as f64 / count as f64,
        wall.as_nanos() as f64 / count as f64
    );
}

/// Fills a log as the ring does: groups of records, one write a group.
fn fill(log: &LogFile, keys: impl Iterator<Item = usize>, group: usize) {
    let mut out = Vec::new();
    let mut file = log.file.as_ref().unwrap();
    for (count, index) in keys.enumerate() {
        journal::append(&mut out, &key(index), &value(0));
        if count % group == group - 1 {
            file.write_all(&out).unwrap();
            out.clear();
        }
    }
    file.write_all(&out).unwrap();
}

fn wait_compacted(store: &Store, logs: u64) {
    while store.counters().logs_compacted.load(Ordering::Relaxed) < logs {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "a measurement"]
fn journal_and_compaction_against_direct_upserts() {
    let count = BINDINGS;
    let keys: Vec<Vec<u8>> = (0..count).map(key).collect();
    let record = value(1);
    let folder = tempfile::tempdir().unwrap();

    let mut out = Vec::with_capacity(count * (VALUE_OCTETS + 64));
    cost("journal::append into memory", count, || {
        keys.iter().for_each(|key| journal::append(&mut out, key, &record));
    });
    for group in [1, 10, 100] {
        let store = Store::open(&folder.path().join(format!("journal{group}")), 1).unwrap();
        store.load(&mut |_, _| ()).unwrap();
        let log = store.next_log(0).unwrap();
        let mut file = log.file.as_ref().unwrap();
        cost(&format!("journal, one write for {group}, no sync"), count, || {
            let mut out = Vec::new();
            for keys in keys.chunks(group) {
                keys.iter().for_each(|key| journal::append(&mut out, key, &record));
                file.write_all(&out).unwrap();
                out.clear();
            }
        });
    }
    let mut database = Database::open(&folder.path().join("compacted.db")).unwrap();
    for (serial, what) in [(1, "new keys"), (2, "known keys")] {
        cost(
            &format!("compaction of a log in one transaction, {what}, synced"),
            count,
            || {
                let mut last: Vec<_> = journal::replay(&out).collect();
                last.sort_unstable();
                database.retire(serial, last).unwrap();
            },
        );
    }
    for synchronous in ["NORMAL", "FULL"] {
        for group in [1, 10, 100] {
            direct(
                folder.path(),
                synchronous,
                group,
                &keys[..if group == 1 { 10_000 } else { count }],
                &record,
            );
        }
    }
}

/// What the journal replaces: upserts straight into the database.
fn direct(folder: &Path, synchronous: &str, group: usize, keys: &[Vec<u8>], record: &[u8]) {
    let path = folder.join(format!("direct-{synchronous}-{group}.db"));
    drop(Database::open(&path).unwrap());
    let mut connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!("PRAGMA synchronous = {synchronous}"))
        .unwrap();
    let upsert = "INSERT INTO binding VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    cost(
        &format!("direct upserts, {group} a transaction, {synchronous}"),
        keys.len(),
        || {
            for keys in keys.chunks(group) {
                let transaction = connection.transaction().unwrap();
                let mut statement = transaction.prepare_cached(upsert).unwrap();
                keys.iter()
                    .for_each(|key| drop(statement.execute([key, record]).unwrap()));
                drop(statement);
                transaction.commit().unwrap();
            }
        },
    );
}

#[test]
#[ignore = "a measurement"]
fn loading_75_000_bindings() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let report = |what: &str| {
        let (start, mut octets) = (Instant::now(), 0);
        let store = Store::open(&data, 2).unwrap();
        let opened = start.elapsed();
        let loaded = store.load(&mut |key, value| octets += key.len() + value.len()).unwrap();
        eprintln!(
            "{what:<40} open {opened:>9.1?}  load {:>9.1?}  in all {:>9.1?}  {loaded:?}",
            start.elapsed() - opened,
            start.elapsed()
        );
        store
    };
    let store = Store::open(&data, 2).unwrap();
    for shard in 0..2_u16 {
        fill(
            &store.next_log(shard).unwrap(),
            (0..BINDINGS).filter(|index| index % 2 == usize::from(shard)),
            16,
        );
    }
    drop(store);
    let store = report("all in the logs");
    wait_compacted(&store, 2);
    for shard in 0..2_u16 {
        fill(
            &store.next_log(shard).unwrap(),
            (0..BINDINGS / 2).filter(|index| index % 2 == usize::from(shard)),
            16,
        );
    }
    drop(store);
    drop(report("all in the database, half also in logs"));
    let store = Store::open(&data, 2).unwrap();
    store.load(&mut |_, _| ()).unwrap();
    wait_compacted(&store, 2);
    drop(store);
    drop(report("all in the database"));
}

#[test]
#[ignore = "a measurement"]
fn handing_over_call_records() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 1).unwrap();
    let line = vec![b'x'; 600];
    let count = 50_000;
    cost("a call record of 600 octets, in the caller", count, || {
        (0..count).for_each(|_| store.cdr(Wall(0), line.clone()).unwrap());
    });
    let start = Instant::now();
    store.close();
    eprintln!("written and synchronised {:?} later", start.elapsed());
}
