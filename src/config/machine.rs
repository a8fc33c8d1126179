//! What the machine allows, read from /proc: no system call that needs unsafe code.

use std::num::NonZero;

/// What the arithmetic of the limits needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Hard limit of open files (RLIMIT_NOFILE): the start raises the soft one to it. It also bounds
    /// each ring's table of direct descriptors.
    pub descriptors: u64,
    /// Soft limit of locked memory in octets (RLIMIT_MEMLOCK).
    pub locked_octets: u64,
}

impl Machine {
    /// Asks the machine; what it does not say counts as unlimited.
    #[must_use]
    pub fn probe() -> Self {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, NonZero::get),
            descriptors: hard_limit(&limits, "Max open files").unwrap_or(u64::MAX),
            locked_octets: soft_limit(&limits, "Max locked memory").unwrap_or(u64::MAX),
        }
    }
}

/// The soft limit of a line of `/proc/self/limits`; `None` when it is missing or unlimited.
pub(crate) fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The hard limit of a line of `/proc/self/limits`; `None` when it is missing or unlimited.
fn hard_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     20000      files\n\
                    Max locked memory         unlimited  unlimited   bytes\n";
        assert_eq!(soft_limit(text, "Max open files"), Some(1024));
        assert_eq!(hard_limit(text, "Max open files"), Some(20_000));
        assert_eq!(soft_limit(text, "Max locked memory"), None);
        assert_eq!(hard_limit(text, "Max locked memory"), None);
        assert_eq!(soft_limit(text, "Max processes"), None);
    }
}
