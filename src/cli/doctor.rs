//! `ringfort doctor`: what of this host helps or hinders, with a fix for each finding.

use crate::cli::findings::{self, Finding, Grade, Ring};
use crate::cli::say;
use crate::config::Machine;
use io_uring::{IoUring, squeue};
use std::process::ExitCode;

/// Prints the examination; exit code 1 when something must be fixed or could be better.
pub fn doctor() -> ExitCode {
    let findings = examine();
    for finding in &findings {
        let mark = match finding.grade {
            Grade::Fine => "ok  ",
            Grade::Improve => "warn",
            Grade::Fix => "FIX ",
        };
        say(&format!("{mark} {:<18} {}", finding.what, finding.value));
        if !finding.fix.is_empty() {
            say(&format!("     -> {}", finding.fix));
        }
    }
    if findings.iter().all(|finding| finding.grade == Grade::Fine) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn examine() -> Vec<Finding> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let limits = read("/proc/self/limits");
    let mut findings = vec![findings::kernel(&read("/proc/sys/kernel/osrelease"))];
    findings.extend(findings::ring(
        &trial_ring(),
        &read("/proc/sys/kernel/io_uring_disabled"),
    ));
    findings.push(findings::descriptors(&limits));
    findings.push(findings::locked_memory(&limits));
    findings.push(findings::receive_buffer(&read("/proc/sys/net/core/rmem_max")));
    findings.push(findings::governor(Machine::probe().cores, &governors()));
    findings.extend(findings::buffer_errors(&read("/proc/net/snmp")));
    findings
}

/// Makes a small ring as the packet threads do, and asks it what it can.
fn trial_ring() -> Ring {
    let ring = IoUring::<squeue::Entry>::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(8);
    Ring {
        min_wait: ring.map(|ring| ring.params().is_feature_min_timeout()),
    }
}

fn governors() -> Vec<String> {
    let Ok(cores) = std::fs::read_dir("/sys/devices/system/cpu") else {
        return Vec::new();
    };
    let governor = |core: std::fs::DirEntry| std::fs::read_to_string(core.path().join("cpufreq/scaling_governor")).ok();
    cores.flatten().filter_map(governor).collect()
}
