//! Thread-per-core runtime of the appliance. It knows nothing of SIP.
//!
//! A *shard* is one core: a packet thread that owns one ring, its sockets and one
//! [`Program`], and a companion executor on the same core for stream transports.
//! The program is sans-IO: it takes bytes and [`Time`], and gives bytes, mesh messages and a
//! deadline. The same program runs on the kernel (`uring`) and in the simulator (`sim`).

pub mod media;
pub mod outbox;
pub mod pool;
pub mod program;
pub mod time;

pub use media::{MediaSlice, Slot};
pub use pool::Buf;
pub use outbox::{Outbox, Target};
pub use program::{
    ConnId, Cx, Frame, Host, ListenerId, LogFile, OpenError, Program, Sender, ShardId,
    StreamCommand, StreamEvent, Verdict, Written,
};
pub use time::{Time, Wall};
