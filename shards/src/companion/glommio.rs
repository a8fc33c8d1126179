//! The companion as a glommio executor.

use super::{Companion, Post};
use crate::supervise::LaunchError;
use std::thread::JoinHandle;

/// Glommio executors, one for each shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glommio;

impl Companion for Glommio {
    fn describe(&self) -> String {
        "stream transports: glommio executor on the shard's core, lower priority".to_owned()
    }

    fn start(&self, _post: Post) -> Result<JoinHandle<()>, LaunchError> {
        Err(LaunchError::new("stream transports are not built in yet"))
    }
}
