//! What `doctor` looks at: texts of /proc and /sys in, findings out, so that each is testable.

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    Fine,
    /// It runs, not at its best.
    Improve,
    /// It will not run, or loses packets.
    Fix,
}

/// One line of the examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) what: &'static str,
    pub(super) value: String,
    pub(super) grade: Grade,
    /// What to do; empty when all is fine.
    pub(super) fix: String,
}

impl Finding {
    pub(super) fn fine(what: &'static str, value: impl Into<String>) -> Self {
        Self {
            what,
            value: value.into(),
            grade: Grade::Fine,
            fix: String::new(),
        }
    }

    pub(super) fn bad(what: &'static str, value: impl Into<String>, grade: Grade, fix: impl Into<String>) -> Self {
        Self {
            what,
            value: value.into(),
            grade,
            fix: fix.into(),
        }
    }
}

/// What a trial ring said.
pub(super) struct Ring {
    /// `Ok` with whether waits with a minimum time (6.12) are there.
    pub(super) min_wait: Result<bool, std::io::Error>,
}

/// Least kernel: provided buffer rings with multishot receive, single issuer, deferred task work.
const LEAST_KERNEL: (u32, u32) = (6, 1);
const GOOD_RMEM: u64 = 4 << 20;
const GOOD_DESCRIPTORS: u64 = 20_000;
/// One ring with its buffers; they are not counted against the limit since 5.12, except for
/// registered memory.
const GOOD_MEMLOCK: u64 = 8 << 20;

pub(super) fn kernel(release: &str) -> Finding {
    let release = release.trim();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= LEAST_KERNEL {
        return Finding::fine("kernel", release);
    }
    let (major, minor) = LEAST_KERNEL;
    Finding::bad(
        "kernel",
        release,
        Grade::Fix,
        format!("install Linux {major}.{minor} or later; 6.12 or later is best"),
    )
}

pub(super) fn ring(ring: &Ring, disabled: &str) -> Vec<Finding> {
    match &ring.min_wait {
        Ok(true) => vec![
            Finding::fine("io_uring", "works"),
            Finding::fine("min_wait", "there (6.12 or later)"),
        ],
        Ok(false) => vec![
            Finding::fine("io_uring", "works"),
            Finding::bad(
                "min_wait",
                "missing",
                Grade::Improve,
                "Linux 6.12 or later halves the processor time of relayed audio",
            ),
        ],
        Err(error) if disabled.trim() != "0" && !disabled.trim().is_empty() => {
            vec![Finding::bad(
                "io_uring",
                format!("switched off ({error})"),
                Grade::Fix,
                "sysctl -w kernel.io_uring_disabled=0",
            )]
        }
        Err(error) => vec![Finding::bad(
            "io_uring",
            format!("refused ({error})"),
            Grade::Fix,
            "allow the io_uring system calls: a container's seccomp profile often forbids them; out of memory: raise RLIMIT_MEMLOCK",
        )],
    }
}

/// Soft and hard value of a line of `/proc/self/limits`; `None` in them is unlimited.
fn limit(limits: &str, name: &str) -> (Option<u64>, Option<u64>) {
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    let mut values = line.split_whitespace().map(|value| value.parse().ok());
    (values.next().flatten(), values.next().flatten())
}

pub(super) fn descriptors(limits: &str) -> Finding {
    let (soft, hard) = limit(limits, "Max open files");
    let value = format!("{} (hard {})", shown(soft), shown(hard));
    // The start raises the soft limit to the hard one.
    if hard.is_none_or(|hard| hard >= GOOD_DESCRIPTORS) {
        return Finding::fine("RLIMIT_NOFILE", value);
    }
    let fix = format!(
        "LimitNOFILE={GOOD_DESCRIPTORS} in the systemd unit, or ulimit -Hn {GOOD_DESCRIPTORS}: it bounds each shard's media sockets (4 a relayed call)"
    );
    Finding::bad("RLIMIT_NOFILE", value, Grade::Improve, fix)
}

pub(super) fn locked_memory(limits: &str) -> Finding {
    let (soft, hard) = limit(limits, "Max locked memory");
    let value = format!("{} octets (hard {})", shown(soft), shown(hard));
    if soft.is_none_or(|soft| soft >= GOOD_MEMLOCK) {
        return Finding::fine("RLIMIT_MEMLOCK", value);
    }
    let fix = format!(
        "LimitMEMLOCK=infinity in the systemd unit, or ulimit -l {}: rings pin memory",
        GOOD_MEMLOCK >> 10
    );
    Finding::bad("RLIMIT_MEMLOCK", value, Grade::Fix, fix)
}

fn shown(value: Option<u64>) -> String {
    value.map_or_else(|| "unlimited".into(), |value| value.to_string())
}

pub(super) fn receive_buffer(rmem_max: &str) -> Finding {
    let value = rmem_max.trim();
    if value.parse::<u64>().is_ok_and(|octets| octets >= GOOD_RMEM) {
        return Finding::fine("net.core.rmem_max", value);
    }
    let fix =
        format!("sysctl -w net.core.rmem_max={GOOD_RMEM}: a burst of SIP is lost when the socket's buffer is small");
    Finding::bad("net.core.rmem_max", value, Grade::Improve, fix)
}

/// Datagrams that were lost because a socket's buffer was full, on this host since its start.
pub(super) fn buffer_errors(snmp: &str) -> Option<Finding> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let index = names.split(' ').position(|name| name == "RcvbufErrors")?;
    let lost: u64 = values.split(' ').nth(index)?.parse().ok()?;
    if lost == 0 {
        return Some(Finding::fine("UDP RcvbufErrors", "0"));
    }
    let fix = "datagrams were lost on this host since its start (by any program): raise net.core.rmem_max, give the shards cores of their own";
    Some(Finding::bad("UDP RcvbufErrors", lost.to_string(), Grade::Improve, fix))
}

/// One governor a core, where the kernel lets us see them (virtual machines do not).
pub(super) fn governor(cores: usize, governors: &[String]) -> Finding {
    let slow = governors
        .iter()
        .filter(|governor| governor.trim() != "performance")
        .count();
    let value = match governors.first() {
        None => format!("{cores}, frequency not ours to set"),
        Some(first) if slow == 0 => format!("{cores}, governor {}", first.trim()),
        Some(_) => format!("{cores}, {slow} not in governor performance"),
    };
    if slow == 0 {
        return Finding::fine("cores", value);
    }
    let fix = "cpupower frequency-set -g performance: waking from a low frequency delays audio";
    Finding::bad("cores", value, Grade::Improve, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels() {
        for (release, grade) in [
            ("6.18.44-fc\n", Grade::Fine),
            ("6.1.0-18-amd64", Grade::Fine),
            ("6.0.9", Grade::Fix),
            ("5.15.0-91-generic", Grade::Fix),
            ("", Grade::Fix),
        ] {
            assert_eq!(kernel(release).grade, grade, "{release}");
        }
    }

    #[test]
    fn rings() {
        let grades =
            |min_wait, disabled| -> Vec<Grade> { ring(&Ring { min_wait }, disabled).iter().map(|f| f.grade).collect() };
        let refused = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(grades(Ok(true), "0"), [Grade::Fine, Grade::Fine]);
        assert_eq!(grades(Ok(false), "0"), [Grade::Fine, Grade::Improve]);
        assert_eq!(grades(Err(refused()), "0"), [Grade::Fix]);
        assert!(
            ring(
                &Ring {
                    min_wait: Err(refused())
                },
                "2\n"
            )[0]
            .fix
            .contains("io_uring_disabled=0")
        );
    }

    #[test]
    fn limits() {
        let enough = "Max open files            1024                 1048576              files     \n";
        assert_eq!(descriptors(enough).grade, Grade::Fine);
        let text = "Max open files            1024                 4096                 files     \n\
                    Max locked memory         65536                unlimited            bytes     \n";
        assert_eq!(descriptors(text).grade, Grade::Improve);
        assert_eq!(descriptors(text).value, "1024 (hard 4096)");
        assert_eq!(locked_memory(text).grade, Grade::Fix);
        let text =
            "Max open files            unlimited  unlimited files\nMax locked memory  unlimited unlimited bytes\n";
        assert_eq!(
            (descriptors(text).grade, locked_memory(text).grade),
            (Grade::Fine, Grade::Fine)
        );
    }

    #[test]
    fn buffers() {
        assert_eq!(receive_buffer("212992\n").grade, Grade::Improve);
        assert_eq!(receive_buffer("4194304\n").grade, Grade::Fine);
        let snmp = |lost| {
            format!(
                "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 12 {lost} 0\nUdpLite: InDatagrams\n"
            )
        };
        assert_eq!(buffer_errors(&snmp(0)).unwrap().grade, Grade::Fine);
        assert_eq!(buffer_errors(&snmp(7)).unwrap().value, "7");
        assert_eq!(buffer_errors("Ip: 1\n"), None);
    }

    #[test]
    fn governors() {
        assert_eq!(governor(2, &[]).grade, Grade::Fine);
        assert_eq!(
            governor(2, &["performance\n".into(), "performance\n".into()]).grade,
            Grade::Fine
        );
        assert_eq!(
            governor(2, &["performance\n".into(), "powersave\n".into()]).grade,
            Grade::Improve
        );
    }
}
