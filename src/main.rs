//! Arguments -> configuration -> plan -> run.

fn main() {}
