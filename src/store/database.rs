//! The embedded database: bindings, users, and which log files are retired. Only the writer
//! thread uses it.

use crate::store::StoredUser;
use crate::store::error::StoreError;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Number of the schema below, kept in SQLite's `user_version`.
const SCHEMA: i64 = 1;

const TABLES: &str = "
    CREATE TABLE binding (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE user (name TEXT PRIMARY KEY, display TEXT, password TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE retired (serial INTEGER PRIMARY KEY);
    PRAGMA user_version = 1;
";

/// `synchronous = FULL`: a commit is on the disk when it returns. The log file that it replaces is
/// deleted right after, so NORMAL (the write-ahead log is synchronised at some later checkpoint)
/// could lose bindings that had been safe. Commits are rare here: one a log file.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA journal_size_limit = 4194304;
    PRAGMA mmap_size = 268435456;
";

const UPSERT: &str = "INSERT INTO binding VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

pub(super) struct Database {
    connection: Connection,
}

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite gives its side files the mode of the database.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|source| StoreError::Io {
                what: "open",
                path: path.into(),
                source,
            })?;
        let cannot = |what| move |source| StoreError::Database { what, source };
        let mut connection = Connection::open(path).map_err(cannot("open it"))?;
        connection.execute_batch(SETTINGS).map_err(cannot("set it up"))?;
        let found: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(cannot("read its version"))?;
        if found > SCHEMA {
            return Err(StoreError::Newer {
                path: path.into(),
                found,
                known: SCHEMA,
            });
        }
        if found == 0 {
            let transaction = connection.transaction().map_err(cannot("make its tables"))?;
            transaction.execute_batch(TABLES).map_err(cannot("make its tables"))?;
            transaction.commit().map_err(cannot("make its tables"))?;
        }
        Ok(Self { connection })
    }

    /// Serials of log files that are in the database already.
    pub(super) fn retired(&self) -> Result<BTreeSet<u64>, StoreError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.connection.prepare_cached("SELECT serial FROM retired")?;
            let serials = statement.query_map([], |row| row.get::<_, i64>(0))?;
            serials.map(|serial| serial.map(i64::cast_unsigned)).collect()
        };
        read().map_err(|source| StoreError::Database {
            what: "read the retired logs",
            source,
        })
    }

    /// Forgets the retired serials, once their files are gone for good.
    pub(super) fn forget_retired(&self) -> Result<(), StoreError> {
        let forgotten = self.connection.execute("DELETE FROM retired", []);
        forgotten.map(|_| ()).map_err(|source| StoreError::Database {
            what: "forget the retired logs",
            source,
        })
    }

    /// Brings the last values of one log into the database and retires it, in one transaction. An
    /// empty value deletes.
    pub(super) fn retire<'a>(
        &mut self,
        serial: u64,
        values: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut upsert = transaction.prepare_cached(UPSERT)?;
            let mut delete = transaction.prepare_cached("DELETE FROM binding WHERE key = ?1")?;
            for (key, value) in values {
                match value {
                    [] => delete.execute([key])?,
                    _ => upsert.execute([key, value])?,
                };
            }
            transaction.execute("INSERT OR IGNORE INTO retired VALUES (?1)", [serial.cast_signed()])?;
        }
        transaction.commit()
    }

    /// Every binding, in the order of the keys.
    pub(super) fn bindings(&self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let mut read = || {
            let mut statement = self.connection.prepare_cached("SELECT key, value FROM binding")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                visit(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
            }
            Ok(())
        };
        read().map_err(|source| StoreError::Database {
            what: "read the bindings",
            source,
        })
    }

    pub(super) fn users(&self) -> Result<Vec<StoredUser>, StoreError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self
                .connection
                .prepare("SELECT name, display, password FROM user ORDER BY name")?;
            let users = statement.query_map([], |row| {
                Ok(StoredUser {
                    name: row.get(0)?,
                    display: row.get(1)?,
                    password: row.get(2)?,
                })
            })?;
            users.collect()
        };
        read().map_err(|source| StoreError::Database {
            what: "read the users",
            source,
        })
    }

    pub(super) fn put_user(&self, user: &StoredUser) -> Result<(), StoreError> {
        let put = "INSERT OR REPLACE INTO user VALUES (?1, ?2, ?3)";
        let done = self
            .connection
            .execute(put, params![user.name, user.display, user.password]);
        done.map(|_| ()).map_err(|source| StoreError::Database {
            what: "write a user",
            source,
        })
    }
}
