//! For tests: seed files of the corpus that lies outside of the repository.

use std::path::PathBuf;

/// The corpus folder: `RINGFORT_CORPUS`, or beside the repository.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("RINGFORT_CORPUS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")),
        PathBuf::from,
    )
}

/// Whether it is there; says so when it is not.
pub(crate) fn present() -> bool {
    let there = root().is_dir();
    if !there {
        eprintln!("skipped: no corpus at {}", root().display());
    }
    there
}

/// The files below a folder of the corpus, with their names; none when it is absent.
pub(crate) fn files(folder: &str) -> impl Iterator<Item = (String, Vec<u8>)> + use<> {
    let folder = root().join(folder);
    if present() {
        assert!(folder.is_dir(), "the corpus has {}", folder.display());
    }
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let octets = std::fs::read(entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), octets))
        })
}

/// The UDP payloads of each capture.
pub(crate) fn captures() -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
    files("pcaps")
        .filter(|(name, _)| name.ends_with(".pcap"))
        .map(|(name, octets)| (name, payloads(&octets)))
}

/// UDP payloads of a classic little-endian capture file of Ethernet frames with IPv4.
fn payloads(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let link = if capture.get(20) == Some(&113) { 16 } else { 14 };
    let mut rest = capture.get(24..).unwrap_or(&[]);
    while let Some(size) = rest
        .get(8..12)
        .and_then(|size| size.try_into().ok())
        .map(u32::from_le_bytes)
    {
        let Some(frame) = rest.get(16..16 + size as usize) else {
            break;
        };
        rest = &rest[16 + size as usize..];
        let words = usize::from(frame.get(link).copied().unwrap_or(0) & 15);
        if let Some(payload) = frame.get(link + words * 4 + 8..) {
            found.push(payload.to_vec());
        }
    }
    found
}
