//! What the kernel says about this process.

use std::fs;

/// Read from `/proc/self`; a figure that cannot be read is zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Resident memory, octets.
    pub resident_bytes: u64,
    /// User and system time of all threads.
    pub cpu_seconds: f64,
    /// Open file descriptors. Sockets in a ring's own table are not among them.
    pub open_fds: u64,
    /// The limit of that.
    pub max_fds: u64,
    /// Threads.
    pub threads: u64,
}

/// `/proc` counts CPU time in units of USER_HZ, which is 100 on all architectures that matter.
const USER_HZ: f64 = 100.0;

impl Process {
    /// Reads the figures: some five small files.
    #[must_use]
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let field = |text: &str, name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next())
                .and_then(|n| n.parse().ok())
                .unwrap_or(0)
        };
        // The command's name may hold blanks and parentheses; fields count from behind it, so
        // that utime and stime (14 and 15 in proc(5)) are 11 and 12 from there.
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: f64 = after_name
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|n| n.parse::<f64>().ok())
            .sum();
        Self {
            resident_bytes: field(&status, "VmRSS:") * 1024,
            cpu_seconds: ticks / USER_HZ,
            open_fds: fs::read_dir("/proc/self/fd")
                .map_or(0, |dir| dir.count() as u64)
                .saturating_sub(1),
            max_fds: field(&limits, "Max open files"),
            threads: field(&status, "Threads:"),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn figures_are_read() {
        let before = super::Process::read();
        assert!(before.resident_bytes > 100_000, "{before:?}");
        assert!(before.open_fds >= 3 && before.max_fds > before.open_fds, "{before:?}");
        assert!(before.threads >= 1);
        let file = std::fs::File::open("/proc/self/status").unwrap();
        let begun = std::time::Instant::now();
        let mut sum = 0u64;
        while begun.elapsed().as_millis() < 60 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = super::Process::read();
        assert!(after.cpu_seconds > before.cpu_seconds, "{before:?} {after:?}");
        drop(file);
    }
}
