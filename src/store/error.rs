//! What can go wrong with the data directory, each with what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Why the store cannot do what was asked.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has the data directory.
    InUse {
        /// The data directory.
        data: PathBuf,
        /// The other process, when it left its id.
        pid: Option<u32>,
    },
    /// The operating system refused.
    Io {
        /// What was tried, a verb phrase before the path.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The database refused.
    Database {
        /// What was tried.
        what: &'static str,
        /// Its reason.
        source: rusqlite::Error,
    },
    /// The database was written by a newer version.
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema's number.
        found: i64,
        /// The highest number known here.
        known: i64,
    },
    /// The operating system gave no random octets.
    Randomness(String),
    /// The store was closed.
    Closed,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::InUse { data, pid: Some(pid) } => write!(
                f,
                "data directory {} is in use by process {pid}: stop it, or give another directory with --data",
                data.display()
            ),
            StoreError::InUse { data, pid: None } => write!(
                f,
                "data directory {} is in use by another process: stop it, or give another directory with --data",
                data.display()
            ),
            StoreError::Io { what, path, source } => write!(f, "cannot {what} {}: {source}", path.display()),
            StoreError::Database { what, source } => write!(f, "database: cannot {what}: {source}"),
            StoreError::Newer { path, found, known } => write!(
                f,
                "{} was written by a newer version (schema {found}, this version knows up to {known}): use that version, or another --data",
                path.display()
            ),
            StoreError::Randomness(reason) => write!(f, "the operating system gave no random octets: {reason}"),
            StoreError::Closed => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io { source, .. } => Some(source),
            StoreError::Database { source, .. } => Some(source),
            _ => None,
        }
    }
}
