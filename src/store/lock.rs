//! One process a data directory: an flock on `<data>/lock`, which the kernel drops with the process.

use crate::store::error::StoreError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes the data directory if needed (mode 0700: it holds secrets) and takes its lock, which lasts
/// as long as the returned file.
pub(super) fn lock(data: &Path) -> Result<File, StoreError> {
    let io = |what, path: &Path| {
        let path = path.to_path_buf();
        move |source| StoreError::Io { what, path, source }
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(io("make the data directory", data))?;
    let path = data.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(StoreError::InUse {
                data: data.to_path_buf(),
                pid,
            });
        }
        Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
    }
    // Only for the error message of a second process: a failure (disk full) does no harm.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}
