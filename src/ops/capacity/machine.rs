//! What the kernel says about the memory that may be had, how long packet threads waited for a
//! processor, and how busy their cores are. Read once a second by an ops thread, never by a packet thread.

use crate::ops::process::Process;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A packet thread's account with the scheduler since its start, `/proc/PID/task/TID/schedstat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// Nanoseconds on a processor.
    pub ran: u64,
    /// Nanoseconds in which it could have run and others had the processor.
    pub waited: u64,
}

/// For how long a core was idle since the machine's start, `/proc/stat`; the mean of all cores where a shard is
/// not pinned to one. The busy fields are no use: the kernel samples them once a tick, and threads that wake by the
/// clock, as paced audio has them, slip through between ticks (seen: 0 where 0.37 of the core were taken). Idle time is
/// measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreTime {
    /// Nanoseconds on a clock of any start: when it was read.
    pub at: u64,
    /// Nanoseconds in which there was nothing to run, waits for a disk included. In steps of 10 ms.
    pub idle: u64,
}

impl CoreTime {
    /// The share of the time between two looks in which the core was not idle: every process, the kernel, and
    /// what a hypervisor took.
    #[must_use]
    pub fn share(before: Option<Self>, now: Option<Self>) -> Option<f64> {
        let (before, now) = (before?, now?);
        let span = now.at.checked_sub(before.at).filter(|span| *span > 0)?;
        // The kernel may take some idle time back.
        let idle = now.idle.saturating_sub(before.idle);
        Some((1.0 - idle as f64 / span as f64).max(0.0))
    }
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
    /// By shard.
    pub cores: BTreeMap<u16, CoreTime>,
}

/// A packet thread.
#[derive(Debug)]
struct Thread {
    /// Its account with the scheduler.
    schedstat: PathBuf,
    /// The only core that it may use.
    core: Option<usize>,
}

/// Reads it, and remembers which thread is which shard's.
#[derive(Debug)]
pub struct Reader {
    threads: BTreeMap<u16, Thread>,
    begun: Instant,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            threads: BTreeMap::new(),
            begun: Instant::now(),
        }
    }
}

impl Reader {
    /// Reads the figures: some ten small files, `/proc/stat`, and one more a shard.
    pub fn read(&mut self, shards: &[u16]) -> Machine {
        let process = Process::read();
        let known = |n: u64| (n > 0).then_some(n);
        let resident = known(process.resident_bytes);
        let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let allowed = group_limit(Path::new("/sys/fs/cgroup"), &group);
        let turns = self.turns(shards);
        let left = fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| available(&text));
        let reachable = left.map(|left| left + process.resident_bytes);
        Machine {
            resident,
            memory: [allowed, reachable].into_iter().flatten().min(),
            descriptors: known(process.open_fds),
            descriptors_max: known(process.max_fds),
            turns,
            cores: self.cores(),
        }
    }

    fn turns(&mut self, shards: &[u16]) -> BTreeMap<u16, Turns> {
        if shards.iter().any(|shard| !self.threads.contains_key(shard)) {
            self.threads = packet_threads();
        }
        let read = |shard: &u16| {
            let text = fs::read_to_string(&self.threads.get(shard)?.schedstat).ok()?;
            Some((*shard, schedstat(&text)?))
        };
        let found: BTreeMap<u16, Turns> = shards.iter().filter_map(read).collect();
        // A thread that is gone is looked for again next time.
        self.threads.retain(|shard, _| found.contains_key(shard));
        found
    }

    fn cores(&self) -> BTreeMap<u16, CoreTime> {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let at = self.begun.elapsed().as_nanos() as u64;
        let time = |(&shard, thread): (&u16, &Thread)| {
            let idle = idle_nanos(&stat, thread.core)?;
            Some((shard, CoreTime { at, idle }))
        };
        self.threads.iter().filter_map(time).collect()
    }
}

/// The threads named `shard-N`.
fn packet_threads() -> BTreeMap<u16, Thread> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let named = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let shard = name.trim_end().strip_prefix("shard-")?.parse().ok()?;
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let thread = Thread {
            schedstat: task.path().join("schedstat"),
            core: pinned(&status),
        };
        Some((shard, thread))
    });
    named.collect()
}

/// `None` also where the kernel keeps no such account and writes zeros.
fn schedstat(text: &str) -> Option<Turns> {
    let mut fields = text.split_ascii_whitespace().map(str::parse);
    let (ran, waited) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (ran > 0).then_some(Turns { ran, waited })
}

/// The core of a thread that may use one only, from its `status`.
fn pinned(status: &str) -> Option<usize> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    line.trim().parse().ok()
}

/// The idle nanoseconds of one core, or the mean of all, in `/proc/stat`.
fn idle_nanos(stat: &str, core: Option<usize>) -> Option<u64> {
    let name = core.map_or("cpu".into(), |core| format!("cpu{core}"));
    let lines = || stat.lines().map(str::split_ascii_whitespace);
    let fields = lines().find_map(|mut line| (line.next() == Some(&*name)).then_some(line))?;
    // user nice system idle iowait.
    let mut ticks = fields.skip(3).map_while(|ticks| ticks.parse::<u64>().ok());
    let idle = ticks.next()? + ticks.next()?;
    let single = |name: &str| name.strip_prefix("cpu").is_some_and(|number| !number.is_empty());
    let cores = match core {
        Some(_) => 1,
        None => lines().filter(|line| line.clone().next().is_some_and(single)).count() as u64,
    };
    idle.saturating_mul(NANOS_A_TICK).checked_div(cores)
}

/// USER_HZ, the unit of `/proc/stat`, is 100 on all architectures that matter.
const NANOS_A_TICK: u64 = 10_000_000;

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
    fn the_idle_time_of_a_shards_core_is_found() {
        let stat = "cpu  30 2 8 200 20 1 4 5 9 0\ncpu0 10 1 4 120 10 1 2 2 3 0\ncpu10 20 1 4 80 10 0 2 3 6 0\nintr 5\n";
        let ticks = |ticks: u64| Some(ticks * NANOS_A_TICK);
        assert_eq!(idle_nanos(stat, None), ticks(110), "a mean of two");
        assert_eq!(idle_nanos(stat, Some(0)), ticks(130));
        assert_eq!(idle_nanos(stat, Some(10)), ticks(90));
        assert_eq!(idle_nanos(stat, Some(1)), None);
        assert_eq!(idle_nanos("cpu 1 2 3 4 x\n", None), None);
        assert_eq!(idle_nanos("cpu 1 2 3 4 5\n", None), None, "no core");
        assert_eq!(pinned("Name:\tshard-0\nCpus_allowed_list:\t7\n"), Some(7));
        assert_eq!(pinned("Cpus_allowed_list:\t0-7\n"), None);
        let time = |at, idle| Some(CoreTime { at, idle });
        assert_eq!(CoreTime::share(time(100, 50), time(200, 75)), Some(0.75));
        assert_eq!(CoreTime::share(time(100, 50), time(200, 49)), Some(1.0));
        assert_eq!(CoreTime::share(time(100, 50), time(200, 250)), Some(0.0));
        for unknown in [time(100, 50), time(0, 10), None] {
            assert_eq!(CoreTime::share(time(100, 50), unknown), None);
        }
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
            assert!(machine.cores.contains_key(&4077), "{machine:?}");
        }
        go.send(()).unwrap();
        thread.join().unwrap().unwrap();
    }
}
