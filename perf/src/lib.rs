//! Load and capacity tools. They drive the appliance, its peers and the bare floor through the
//! same sockets, so that the figures stand beside each other.
//!
//! * [`mark`]: the RTP packet that carries its own identity and send time.
//! * [`load`]: paced streams, judged packet by packet.
//! * [`floor`]: the bare relays that nothing can beat.
//! * [`procfs`]: CPU time and memory of a server's process tree.
//! * [`setup`]: how the calls come to be (given addresses, rtpengine's ng protocol, SIP).

pub mod audio;
pub mod bencode;
pub mod calendar;
pub mod cli;
pub mod engine;
pub mod floor;
pub mod inject;
pub mod load;
pub mod mark;
pub mod procfs;
pub mod report;
pub mod report_search;
pub mod rig;
pub mod run;
pub mod scenario;
pub mod search;
pub mod setup;
pub mod siptext;
