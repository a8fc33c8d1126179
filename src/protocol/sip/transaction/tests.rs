//! Machines driven by messages and time.
