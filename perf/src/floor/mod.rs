//! The bare relay floor: what a relayed packet costs when nothing is checked, counted or rewritten.
//!
//! * [`ring`]: our own runtime with a program that sends every packet on at once. The distance of
//!   the appliance to it is what the appliance's own code costs.
//! * [`plain`]: one thread of receive and send calls. The kernel's UDP path without a ring.

pub mod plain;
pub mod ring;
