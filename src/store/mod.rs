//! The only code that writes to disk.
