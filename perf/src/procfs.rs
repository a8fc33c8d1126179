//! CPU time and memory of a server and all its children, from `/proc`.

use std::collections::HashMap;
use std::fs;

/// The process and all its descendants.
#[must_use]
pub fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = parent_of(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = vec![root];
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        all.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    all
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in parentheses and may hold anything; the fields start after it.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Nanoseconds on a CPU, summed over all threads of the tree. Threads that have ended are not
/// counted, so both readings have to be taken while the server's threads live.
#[must_use]
pub fn cpu_ns(root: u32) -> u64 {
    let thread_ns = |pid: u32| -> u64 {
        fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok())
            .sum()
    };
    tree(root).into_iter().map(thread_ns).sum()
}

/// Resident memory of the tree in kB. Pages shared between forked children count once for each,
/// except for shared memory segments, which count once.
#[must_use]
pub fn rss_kb(root: u32) -> u64 {
    let mut private = 0;
    let mut shared = 0;
    for pid in tree(root) {
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
            continue;
        };
        let field = |name: &str| -> u64 {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        private += field("RssAnon:");
        shared = shared.max(field("RssShmem:"));
    }
    private + shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_uses_cpu_and_memory() {
        let own = std::process::id();
        assert!(tree(own).contains(&own));
        assert!(rss_kb(own) > 100);
        let before = cpu_ns(own);
        let mut sum = 0u64;
        for i in 0..20_000_000u64 {
            sum = std::hint::black_box(sum ^ i);
        }
        assert!(cpu_ns(own) > before, "{sum}");
    }
}
