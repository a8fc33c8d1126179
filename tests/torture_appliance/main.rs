//! Torture messages against the whole appliance in the simulated world: as datagrams and over
//! streams cut anywhere. After each one a valid INVITE is answered; after all of them nothing is
//! left and no memory is kept.

#[path = "../torture/live.rs"]
mod live;
#[path = "../torture/mod.rs"]
mod torture;

mod besieged;
mod own;
mod protos;
mod rfc4475;
mod rfc5118;
mod seeds;
