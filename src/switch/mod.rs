//! What to do with a request: roles that never import one another.
