//! `ringload search`: the highest load that a target carries within stated lines.
//!
//! Terms are those of RFC 7501 and RFC 7502 where they fit.

mod arguments;
mod driver;
mod lines;
mod probe;
mod trial;

pub use arguments::{Arguments, What};
pub use driver::search;
