//! What operators see: figures, metrics, the web page and the REST interface. Ops threads reach
//! the shards by messages only; a scrape or a slow browser never stalls a call.

#![allow(clippy::disallowed_methods, reason = "this module touches the machine")]

pub mod backend;
pub mod capacity;
pub mod http;
pub mod latency;
pub mod live;
pub mod metrics;
pub mod model;
pub mod process;
pub mod stats;
pub mod view;

pub use http::{Options, Server, serve};
