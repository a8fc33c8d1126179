//! Ringfort: a campus telephone system in one binary. Floors, arrows only downwards:
//! `main`; `appliance`; `services`; `switch`; `media`; `protocol`. The crate `shards`, `store`
//! and `config` stand on the ground; `ops` beside `media`.

pub mod appliance;
pub mod cli;
pub mod config;
pub mod media;
pub mod ops;
pub mod protocol;
pub mod run;
pub mod store;
pub mod switch;
