//! The whole appliance in a simulated world: several shards, scripted phones, virtual time. All
//! that happens is drawn from a seed, so that every failure can be run again.
//!
//! `tests/sim` of the appliance plays scenarios on a [`stage::Stage`]; [`swarm`] draws a whole world
//! from a seed, [`check`] judges it by what is seen on the network, [`ladder`] shows it to people.

pub mod check;
pub mod ladder;
pub mod phone;
pub mod siege;
pub mod stage;
pub mod stranger;
pub mod swarm;
pub mod text;
