//! What has gone wrong elsewhere must hold here: a module for each advisory or small group, named
//! by its row. README.md beside this file tells which rows are tested and what the others wait for.

#[path = "../torture/live.rs"]
mod live;
#[path = "../torture/mod.rs"]
mod torture;

mod support;

mod row05_memory_floods;
mod row09_stun_without_integrity;
mod row10_length_fields;
mod row11_nested_input;
mod row12_bodies;
mod row14_header_lengths;
mod row15_smuggled_headers;
mod row16_malformed_messages;
mod row22_many_values;
mod row23_stream_dropped;
mod row24_media_fuzz;
mod row25_dialog_model;
mod row29_account_enumeration;
mod row30_acl_arithmetic;
mod row33_forbidden_targets;
mod row35_port_exhaustion;
mod row36_loops;
