//! `ringload`'s command line: SIPp's flags with one dash, our own with two.

mod flags;
mod options;
mod table;
mod values;

pub use flags::{help, parse};
pub use options::{Options, Ports};
pub(crate) use values::ports;
