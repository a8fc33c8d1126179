//! What the kernel says about the memory that may be had, and how long packet threads waited for
//! a processor. Read once a second by an ops thread, never by a packet thread.

use crate::ops::process::Process;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A packet thread's account with the scheduler since its start, `/proc/PID/task/TID/schedstat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// Nanoseconds on a processor.
    pub ran: u64,
    /// Nanoseconds in which it could have run and others had the processor.
    pub waited: u64,
}

/// The machine, as far as it limits us. What cannot be read is `None`, or missing.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Resident memory, octets.
    pub resident: Option<u64>,
    /// The most that it can be: the control group's limit or what the machine has left.
    pub memory: Option<u64>,
    /// Open descriptors; sockets in ring tables are not among them and take none.
    pub descriptors: Option<u64>,
    /// RLIMIT_NOFILE.
    pub descriptors_max: Option<u64>,
    /// By shard.
    pub turns: BTreeMap<u16, Turns>,
}

/// Reads it, and remembers which thread is which shard's.
#[derive(Debug, Default)]
pub struct Reader {
    threads: BTreeMap<u16, PathBuf>,
}

impl Reader {
    /// Reads the figures: some ten small files and one more a shard.
    pub fn read(&mut self, shards: &[u16]) -> Machine {
        let process = Process::read();
        let known = |n: u64| (n > 0).then_some(n);
        let resident = known(process.resident_bytes);
        let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let allowed = group_limit(Path::new("/sys/fs/cgroup"), &group);
        let left = fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| available(&text));
        let reachable = left.map(|left| left + process.resident_bytes);
        Machine {
            resident,
            memory: [allowed, reachable].into_iter().flatten().min(),
            descriptors: known(process.open_fds),
            descriptors_max: known(process.max_fds),
            turns: self.turns(shards),
        }
    }

    fn turns(&mut self, shards: &[u16]) -> BTreeMap<u16, Turns> {
        if shards.iter().any(|shard| !self.threads.contains_key(shard)) {
            self.threads = packet_threads();
        }
        let read = |shard: &u16| {
            let text = fs::read_to_string(self.threads.get(shard)?).ok()?;
            Some((*shard, schedstat(&text)?))
        };
        let found: BTreeMap<u16, Turns> = shards.iter().filter_map(read).collect();
        // A thread that is gone is looked for again next time.
        self.threads.retain(|shard, _| found.contains_key(shard));
        found
    }
}

/// The threads named `shard-N`.
fn packet_threads() -> BTreeMap<u16, PathBuf> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let named = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let shard = name.trim_end().strip_prefix("shard-")?.parse().ok()?;
        Some((shard, task.path().join("schedstat")))
    });
    named.collect()
}

/// `None` also where the kernel keeps no such account and writes zeros.
fn schedstat(text: &str) -> Option<Turns> {
    let mut fields = text.split_ascii_whitespace().map(str::parse);
    let (ran, waited) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (ran > 0).then_some(Turns { ran, waited })
}

/// `MemAvailable` of `/proc/meminfo`, octets.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The least `memory.max` on the way from our control group (version 2) up to `root`.
fn group_limit(root: &Path, group: &str) -> Option<u64> {
    let ours = group.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = root.join(ours);
    let limits = folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| {
            // `max` stands for none.
            fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok()
        });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel_are_understood() {
        let turns = Turns {
            ran: 70_474_633,
            waited: 7_390_416,
        };
        assert_eq!(schedstat("70474633 7390416 60\n"), Some(turns));
        for unknown in ["0 0 1\n", "", "12", "a b c", "5 x 1"] {
            assert_eq!(schedstat(unknown), None, "{unknown:?}");
        }
        assert_eq!(
            available("MemTotal: 9 kB\nMemAvailable:   24119268 kB\n"),
            Some(24_119_268 * 1024)
        );
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn the_tightest_control_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let ours = root.path().join("system.slice/ringfort.service");
        fs::create_dir_all(&ours).unwrap();
        let group = "4:memory:/v1\n0::/system.slice/ringfort.service\n";
        assert_eq!(group_limit(root.path(), group), None);
        fs::write(ours.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("system.slice/memory.max"), "4096\n").unwrap();
        assert_eq!(group_limit(root.path(), group), Some(4096));
        fs::write(ours.join("memory.max"), "1024\n").unwrap();
        assert_eq!(group_limit(root.path(), group), Some(1024));
        assert_eq!(group_limit(root.path(), "4:memory:/v1\n"), None);
    }

    #[test]
    fn this_machine_is_read() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("shard-4077".into());
        let (ready, begun) = std::sync::mpsc::channel();
        let thread = thread
            .spawn(move || {
                ready.send(()).unwrap();
                wait.recv()
            })
            .unwrap();
        begun.recv().unwrap();
        let mut reader = Reader::default();
        let machine = reader.read(&[4077, 4078]);
        assert!(machine.resident < machine.memory, "{machine:?}");
        assert!(machine.descriptors < machine.descriptors_max, "{machine:?}");
        assert!(!machine.turns.contains_key(&4078));
        // Kernels without scheduler statistics have no such file.
        if Path::new("/proc/thread-self/schedstat").exists() {
            assert!(machine.turns.contains_key(&4077), "{machine:?}");
        }
        go.send(()).unwrap();
        thread.join().unwrap().unwrap();
    }
}
