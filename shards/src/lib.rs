//! Thread-per-core runtime of the appliance. It knows nothing of SIP.
//!
//! A *shard* is one core: a packet thread that owns one ring, its sockets and one
//! [`Program`], and a companion executor on the same core for stream transports.
//! The program is sans-IO: it takes bytes and [`Time`], and gives bytes, mesh messages and a
//! deadline. The same program runs on the kernel (`uring`) and in the simulator (`sim`).

pub mod companion;
pub mod media;
pub mod mesh;
pub mod outbox;
pub mod pool;
pub mod program;
pub mod sim;
pub mod stats;
pub mod steer;
pub mod supervise;
mod sync;
mod sys;
pub mod time;
mod uring;
pub mod wheel;
mod xdp;

pub use media::{MediaSlice, Slot};
pub use outbox::{Outbox, Target};
pub use pool::Buf;
pub use program::{
    ConnId, Cx, Frame, Host, ListenerId, LogFile, OpenError, Program, Sender, ShardId, StreamCommand, StreamEvent,
    Verdict, Written,
};
pub use stats::LoopStats;
pub use steer::Steering;
pub use supervise::{
    Allow, Cluster, Handle, LaunchError, ListenerKind, ListenerPlan, Plan, Seat, StreamLimits, launch,
};
pub use time::{Time, Wall};
pub use wheel::{TimerId, Wheel};
