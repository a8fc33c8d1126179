//! The shard's brain: demux, dispatch, outbox; the only place that knows all roles.
