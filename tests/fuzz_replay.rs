//! Every seed and every regression of `tests/fuzz` through the body of its target, without a fuzzer.

#[path = "fuzz/src/bodies/mod.rs"]
#[allow(unreachable_pub, reason = "a module of another crate too")]
mod bodies;

use std::path::{Path, PathBuf};

/// The files of a folder; none when there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn replay((target, body): bodies::Target) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let mut count = 0;
    for kind in ["seeds", "regressions"] {
        for path in files(&folder.join(kind).join(target)) {
            let octets = std::fs::read(&path).expect("a file");
            let name = path.display().to_string();
            let outcome = std::panic::catch_unwind(|| body(&octets));
            assert!(outcome.is_ok(), "{target} fails on {name}");
            count += 1;
        }
    }
    body(b"");
    count
}

#[test]
fn every_target_holds_on_its_seeds_and_regressions() {
    for target in bodies::TARGETS {
        assert!(replay(target) > 0, "{} has no seed", target.0);
    }
}

#[test]
fn the_appliance_holds_on_its_seeds_and_regressions() {
    assert!(replay(bodies::APPLIANCE) > 0);
}
