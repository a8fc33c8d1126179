//! `ringload`'s command line: SIPp's flags with one dash, our own with two.

mod flags;
mod options;

pub use flags::{help, parse};
pub use options::{Options, Ports};
