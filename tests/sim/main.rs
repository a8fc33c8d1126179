//! The whole appliance in a simulated world: several shards, scripted phones, virtual time. All
//! that happens is drawn from a seed, so that every failure can be run again.
#![allow(unreachable_pub, reason = "a test binary")]

mod ends;
mod forking;
mod late;
mod limits;
mod lossy;
mod proxied;
mod redirected;
mod registration;
mod relayed;
mod restart;
mod services;

use ringfort_sim::{phone, stage, text};
