//! Wire formats and the machines of the RFCs. Sans-IO: bytes and time in; bytes, events and
//! deadlines out.

pub mod decimal;
pub mod hex;
pub mod path;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
#[cfg(test)]
pub(crate) mod seeds;
pub mod sip;
pub mod stun;

pub use path::{Path, Transport, Wire};
