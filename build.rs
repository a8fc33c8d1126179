//! Version stamp, and a check of features. No network, no downloads.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RINGFORT_REVISION");
    if std::env::var_os("CARGO_FEATURE_DPDK").is_some() {
        println!(
            "cargo::error=feature `dpdk`: the DPDK packet back-end is not there yet; build without it to use io_uring"
        );
    }
    let revision = revision().unwrap_or_default();
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let shown = match revision.as_str() {
        "" => version,
        revision => format!("{version} ({revision})"),
    };
    println!("cargo::rustc-env=RINGFORT_REVISION={revision}");
    println!("cargo::rustc-env=RINGFORT_VERSION={shown}");
}

/// What RINGFORT_REVISION says (packages are built outside git), otherwise the commit. Debug builds
/// ask git nothing: they would be built anew after each commit.
fn revision() -> Option<String> {
    if let Ok(given) = std::env::var("RINGFORT_REVISION") {
        let fine = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        return Some(given).filter(|given| given.chars().all(fine));
    }
    if std::env::var("PROFILE").ok()? != "release" {
        return None;
    }
    // An archive of the source unpacked inside somebody's repository is not that repository.
    let here = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR")?)
        .canonicalize()
        .ok()?;
    if Path::new(&git(&["rev-parse", "--show-toplevel"])?)
        .canonicalize()
        .ok()?
        != here
    {
        return None;
    }
    // The reflog grows with each commit and check-out. Only what is there: cargo takes a missing file
    // for a changed one.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=10", "HEAD"])
}

/// A line of git's answer; `None` without git or outside a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
