//! The express lane of media: RTP past the kernel's IP stack, by AF_XDP.
//!
//! A small eBPF program at the network device ([`filter`]) looks at each frame before the kernel
//! does. UDP over IPv4 for an open media port of the shard that serves the frame's queue goes into the
//! shard's ring in shared memory, everything else takes its usual way. What the shard sends to a peer
//! whose frames it has seen leaves by the same ring, with the headers turned around.
//!
//! The media sockets stay bound: they hold the ports against others, take what the program lets pass
//! (options, fragments, IPv6, frames of another queue) and send the first packets to a peer, whose
//! link-layer address nobody knows yet. So the lane can be there or not: only the cost differs.
//!
//! It needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF. UDP checksums of what comes are not looked at
//! (the device has seen to it, or the frame never left this machine); what leaves has one.

mod bpf;
mod filter;
mod frame;
mod lane;
mod ports;
mod ring;
mod socket;

pub(crate) use bpf::Gate;
pub(crate) use lane::{Arrival, Lane};

/// Sent frames that wait for the device, at most; received ones that wait for the shard, at most twice as many.
const RING: u32 = 4096;
/// Frames of one shard, received and sent ones together.
const FRAMES: u32 = 4 * RING;
/// Room of one frame. The kernel leaves 256 octets free before what it receives.
const FRAME: usize = 2048;
/// The longest frame that is taken: what an Ethernet without jumbo frames carries.
const LONGEST: usize = 1514;
