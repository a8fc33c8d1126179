//! The audio of the load: what is played, how it is marked, when it is due and how what comes
//! back is judged. Nothing here has a socket, a thread or a clock: bytes and times go in, values
//! come out.
//!
//! * [`mark`]: who sent a packet and when, hidden in the audio itself.
//! * [`clip`]: what is played; [`wav`] and [`pcap`] read it from files, [`link`] finds UDP in a capture.
//! * [`schedule`]: which streams send in this millisecond.
//! * [`judge`]: one received stream, packet by packet; [`sequence`] is its RFC 3550 part.
//! * [`emodel`]: from loss, jitter and delay to a mean opinion score.

pub mod clip;
pub mod emodel;
pub mod judge;
mod link;
pub mod mark;
mod pcap;
pub mod schedule;
mod sequence;
mod wav;
