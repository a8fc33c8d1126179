//! The back-end on the kernel: one io_uring for each packet thread.
//!
//! `ring` submits and waits, `buffers` and `receive` hold what came in,
//! `core` owns the sockets, `express` the lanes past the kernel, `links` leads to the other shards, `log` writes the log,
//! `pace` decides how long to sleep, `turn` is the loop that ties them to a program.

mod buffers;
mod core;
mod express;
mod links;
mod log;
mod pace;
mod receive;
mod ring;
mod turn;

pub(crate) use links::Links;
pub(crate) use turn::{PacketThread, Stop};

/// Completions handled in one turn of the loop, so that timers and the mesh are not starved.
const BATCH: usize = 512;
