//! What to do with a request: registrar, proxy, B2BUA, and the decisions before them. Roles never
//! import one another; the appliance hands requests to them.

pub mod alarm;
pub mod auth;
pub mod b2bua;
pub mod breadth;
pub mod cdr;
pub mod core;
pub mod keyed;
pub mod mesh;
pub mod next_hop;
pub mod proxy;
pub mod redirect;
pub mod registrar;
pub mod routing;
pub mod secrets;
pub mod site;
pub mod slab;
pub mod steering;
pub mod target;
