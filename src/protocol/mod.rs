//! Wire formats and the machines of the RFCs. Sans-IO: bytes and time in; bytes, events and
//! deadlines out.

pub mod path;
pub mod sdp;
pub mod sip;

pub use path::{Path, Transport, Wire};
