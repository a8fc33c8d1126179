//! Runs of the store over one data directory: what was appended is there after any end.

use crate::store::{Store, StoreError, StoredUser, journal};
use proptest::prelude::*;
use shards::{LogFile, ShardId, Wall};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Bindings = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(data: &Path, shards: usize) -> Store {
    Store::open(data, shards).unwrap_or_else(|error| panic!("{error}"))
}

/// What is stored; each key may be given once only.
fn stored(store: &Store) -> Bindings {
    let mut bindings = Bindings::new();
    let loaded = store.load(&mut |key, value| assert_eq!(bindings.insert(key.into(), value.into()), None));
    assert_eq!(loaded.unwrap().bindings, bindings.len() as u64);
    bindings
}

fn bindings(pairs: &[(&str, &str)]) -> Bindings {
    pairs
        .iter()
        .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

fn append(log: &LogFile, key: &[u8], value: &[u8]) {
    let mut record = Vec::new();
    journal::append(&mut record, key, value);
    log.file.as_ref().unwrap().write_all(&record).unwrap();
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn logs(data: &Path) -> Vec<String> {
    let names = fs::read_dir(data.join("bindings"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let data = tempfile::tempdir().unwrap();
    let _first = open(data.path(), 1);
    let error = Store::open(data.path(), 1).err().unwrap();
    assert!(
        matches!(error, StoreError::InUse { pid: Some(pid), .. } if pid == std::process::id()),
        "{error}"
    );
}

#[test]
fn the_directory_is_free_after_close_and_private() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("new");
    let store = open(&folder, 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("ringfort.db")), 0o600);
    store.close();
    assert!(matches!(store.users(), Err(StoreError::Closed)));
    assert!(store.cdr(Wall(0), "{}").is_err());
    drop(store);
    open(&folder, 1);
}

#[test]
fn bindings_survive_and_the_last_value_wins() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path(), 1);
    assert_eq!(stored(&store), Bindings::new());
    let log = store.next_log(0).unwrap();
    append(&log, b"a", b"1");
    append(&log, b"b", b"1");
    append(&log, b"a", b"2");
    append(&log, b"c", b"1");
    append(&log, b"c", b"");
    // Still open: what has reached the operating system counts.
    assert_eq!(stored(&store), bindings(&[("a", "2"), ("b", "1")]));
    drop(store);
    let store = open(data.path(), 1);
    assert_eq!(stored(&store), bindings(&[("a", "2"), ("b", "1")]));
}

#[test]
fn former_logs_are_compacted_in_the_background() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path(), 2);
    for shard in 0..2 {
        append(&store.next_log(shard).unwrap(), &[shard as u8], b"v");
    }
    drop(store);
    let store = open(data.path(), 1);
    assert_eq!(stored(&store).len(), 2);
    wait_for("compaction", || count(&store.counters().logs_compacted) == 2);
    wait_for("deletion", || logs(data.path()).len() == 1);
    assert_eq!(stored(&store).len(), 2);
    drop(store);
    // The prepared file that nobody took is gone as well.
    assert_eq!(logs(data.path()), Vec::<String>::new());
    assert_eq!(stored(&open(data.path(), 1)).len(), 2);
}

#[test]
fn a_closed_log_and_those_before_it_are_compacted() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path(), 2);
    stored(&store);
    let first = store.next_log(0).unwrap();
    append(&first, b"a", b"1");
    let other = store.next_log(1).unwrap();
    append(&other, b"x", b"1");
    // The first file's announcement is lost; the second one's covers it.
    let second = store.next_log(0).unwrap();
    append(&second, b"a", b"2");
    let third = store.next_log(0).unwrap();
    append(&third, b"a", b"3");
    assert!(first.serial < second.serial && second.serial < third.serial);
    store.log_closed(0, second.serial);
    wait_for("compaction", || count(&store.counters().logs_compacted) == 2);
    wait_for("deletion", || {
        !logs(data.path()).contains(&format!("0-{}.log", second.serial))
    });
    let left = logs(data.path());
    assert!(left.contains(&format!("1-{}.log", other.serial)) && left.contains(&format!("0-{}.log", third.serial)));
    assert_eq!(stored(&store), bindings(&[("a", "3"), ("x", "1")]));
}

#[test]
fn the_next_log_is_prepared_ahead() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path(), 2);
    let mut last = 0;
    for _ in 0..5 {
        let mut taken = None;
        wait_for("a prepared log", || {
            taken = store.take_next_log(1);
            taken.is_some()
        });
        let serial = taken.unwrap().serial;
        assert!(serial > last);
        last = serial;
    }
    assert!(store.take_next_log(7).is_none(), "a shard that is not there");
}

#[test]
fn a_torn_end_is_ignored_counted_and_put_aside() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path(), 1);
    let log = store.next_log(0).unwrap();
    append(&log, b"a", b"1");
    log.file.as_ref().unwrap().write_all(&[9; 5]).unwrap();
    drop(store);
    let store = open(data.path(), 1);
    let mut seen = 0;
    let loaded = store.load(&mut |_, _| seen += 1).unwrap();
    assert_eq!((seen, loaded.ignored_octets, loaded.files), (1, 5, 2));
    wait_for("compaction", || count(&store.counters().logs_compacted) == 1);
    wait_for("the damaged file", || {
        logs(data.path()).iter().any(|name| name.ends_with(".damaged"))
    });
    assert_eq!(count(&store.counters().log_octets_ignored), 5);
    drop(store);
    assert_eq!(stored(&open(data.path(), 1)), bindings(&[("a", "1")]));
}

/// A power loss may bring a deleted file back. Its serial is retired: it is not read again, though
/// the database holds a later value by now.
#[test]
fn a_retired_log_that_comes_back_is_not_read() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path(), 1);
    stored(&store);
    let (first, second) = (store.next_log(0).unwrap(), store.next_log(0).unwrap());
    append(&first, b"a", b"old");
    append(&second, b"a", b"new");
    let path = data.path().join(format!("bindings/0-{}.log", first.serial));
    let content = fs::read(&path).unwrap();
    store.log_closed(0, second.serial);
    wait_for("compaction", || count(&store.counters().logs_compacted) == 2);
    fs::write(&path, &content).unwrap();
    assert_eq!(stored(&store), bindings(&[("a", "new")]), "while running");
    store.log_closed(0, second.serial);
    assert_eq!(stored(&store), bindings(&[("a", "new")]), "nor compacted again");
    drop(store);
    let store = open(data.path(), 1);
    assert_eq!(stored(&store), bindings(&[("a", "new")]), "after the next start");
    assert!(!path.exists());
    assert!(store.next_log(0).unwrap().serial > second.serial);
}

#[test]
fn foreign_files_are_left_alone() {
    let data = tempfile::tempdir().unwrap();
    drop(open(data.path(), 1));
    for name in [
        "notes.txt",
        "01-2.log",
        "a-b.log",
        "-.log",
        "0-99999999999999999999.log",
        "70000-1.log",
    ] {
        fs::write(data.path().join("bindings").join(name), b"x").unwrap();
    }
    let store = open(data.path(), 1);
    assert_eq!(stored(&store), Bindings::new());
    drop(store);
    assert_eq!(logs(data.path()).len(), 6);
}

#[test]
fn a_newer_database_is_refused() {
    let data = tempfile::tempdir().unwrap();
    drop(open(data.path(), 1));
    let connection = rusqlite::Connection::open(data.path().join("ringfort.db")).unwrap();
    connection.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(connection);
    let error = Store::open(data.path(), 1).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
}

#[test]
fn something_else_in_place_of_the_database_is_refused() {
    let data = tempfile::tempdir().unwrap();
    fs::write(
        data.path().join("ringfort.db"),
        b"not a database, but long enough to be looked at as one",
    )
    .unwrap();
    let error = Store::open(data.path(), 1).err().unwrap();
    assert!(matches!(error, StoreError::Database { .. }), "{error}");
}

#[test]
fn users_are_kept_and_replaced() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path(), 1);
    let user = |password: &str| StoredUser {
        name: "1001".into(),
        display: None,
        password: password.into(),
    };
    store.put_user(user("one")).unwrap();
    store.put_user(user("two")).unwrap();
    drop(store);
    assert_eq!(open(data.path(), 1).users().unwrap(), [user("two")]);
}

#[test]
fn call_records_go_into_the_file_of_their_day() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path(), 1);
    let midnight = 1_735_689_600_000;
    for (index, ended) in [midnight - 2, midnight - 1, midnight, midnight + 1]
        .into_iter()
        .enumerate()
    {
        store.cdr(Wall(ended), format!("{{\"call\":{index}}}")).unwrap();
    }
    wait_for("the records", || count(&store.counters().cdr_written) == 4);
    let read = |day: &str| fs::read_to_string(data.path().join("cdr").join(day)).unwrap();
    assert_eq!(read("2024-12-31.jsonl"), "{\"call\":0}\n{\"call\":1}\n");
    assert_eq!(read("2025-01-01.jsonl"), "{\"call\":2}\n{\"call\":3}\n");
    // What is in the queue at the end is written too.
    store.cdr(Wall(midnight), "{}").unwrap();
    store.close();
    assert!(read("2025-01-01.jsonl").ends_with("{}\n"));
}

/// Many threads, all records, each once.
#[test]
fn no_call_record_is_lost_or_doubled() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path(), 4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for call in 0..5_000 {
                    store.cdr(Wall(0), format!("{thread}-{call}")).unwrap();
                }
            });
        }
    });
    store.close();
    let text = fs::read_to_string(data.path().join("cdr/1970-01-01.jsonl")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 20_000);
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 20_000);
}

/// One step of a shard's life.
#[derive(Clone, Debug)]
enum Step {
    Put {
        key: u8,
        value: u8,
    },
    Delete {
        key: u8,
    },
    /// Switches to the next log; the announcement of the former one may be lost.
    Rotate {
        shard: u8,
        announced: bool,
    },
    /// What `load` says must be right at any time.
    Load,
    /// The process ends; the next one may have another number of shards. Some of the logs that
    /// were deleted in this run come back (a power loss before the folder was synchronised).
    Restart {
        shards: u8,
        back: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..12_u8, 1..255_u8).prop_map(|(key, value)| Step::Put { key, value }),
        3 => (0..12_u8).prop_map(|key| Step::Delete { key }),
        4 => (0..4_u8, prop::bool::weighted(0.8)).prop_map(|(shard, announced)| Step::Rotate { shard, announced }),
        1 => Just(Step::Load),
        2 => (1..4_u8, any::<u64>()).prop_map(|(shards, back)| Step::Restart { shards, back }),
    ]
}

/// A process with its shards' logs.
struct Run {
    store: Store,
    logs: Vec<LogFile>,
}

impl Run {
    fn start(data: &Path, shards: u8) -> Self {
        let store = open(data, shards.into());
        let logs = (0..shards).map(|shard| store.next_log(shard.into()).unwrap()).collect();
        Self { store, logs }
    }

    /// The home of a key depends on the number of shards.
    fn write(&self, key: u8, value: &[u8]) {
        append(&self.logs[usize::from(key) % self.logs.len()], &[key], value);
    }

    fn rotate(&mut self, shard: u8, announced: bool) {
        let shard = usize::from(shard) % self.logs.len();
        let next = self.store.next_log(shard as ShardId).unwrap();
        let former = std::mem::replace(&mut self.logs[shard], next);
        if announced {
            self.store.log_closed(shard as ShardId, former.serial);
        }
    }
}

/// All log files with their contents.
fn snapshot(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let folder = data.join("bindings");
    logs(data)
        .into_iter()
        .filter_map(|name| Some((name.clone(), fs::read(folder.join(name)).ok()?)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_life_keeps_the_last_values(steps in prop::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let mut run = Run::start(data, 2);
        let mut model = Bindings::new();
        // Logs that this run may delete, with what they held.
        let mut deletable = snapshot(data);
        for step in steps {
            match step {
                Step::Put { key, value } => {
                    run.write(key, &[value]);
                    model.insert(vec![key], vec![value]);
                }
                Step::Delete { key } => {
                    run.write(key, b"");
                    model.remove(&vec![key]);
                }
                Step::Rotate { shard, announced } => {
                    deletable.extend(snapshot(data));
                    run.rotate(shard, announced);
                }
                Step::Load => prop_assert_eq!(&stored(&run.store), &model),
                Step::Restart { shards, back } => {
                    drop(run);
                    let there = snapshot(data);
                    for (index, (name, content)) in deletable.iter().enumerate() {
                        if back >> (index % 64) & 1 == 1 && !there.contains_key(name) {
                            fs::write(data.join("bindings").join(name), content).unwrap();
                        }
                    }
                    run = Run::start(data, shards);
                    deletable = snapshot(data);
                    prop_assert_eq!(&stored(&run.store), &model);
                }
            }
        }
        prop_assert_eq!(&stored(&run.store), &model);
    }
}
