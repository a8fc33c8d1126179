//! One run of a scenario: from options to an exit code.

mod conduct;
pub mod output;
mod prepare;
pub mod screen;
mod signals;
mod stat_file;
mod traces;
mod twin;

pub use conduct::{Fleet, conduct};
pub use prepare::{Prepared, RoleSetup, is_loopback, local_address_for, prepare, resolve};
pub use signals::{Signals, block};
pub use twin::Twin;

/// Why a run ends before it has begun, with SIPp's exit code.
#[derive(Debug)]
pub struct Refusal {
    /// 255 for an error, 254 when a port cannot be bound.
    pub code: u8,
    /// One sentence.
    pub sentence: String,
}

impl Refusal {
    /// An error in what was asked for.
    #[must_use]
    pub fn error(sentence: impl Into<String>) -> Self {
        Self {
            code: 255,
            sentence: sentence.into(),
        }
    }

    /// A port that cannot be had.
    #[must_use]
    pub fn bind(sentence: impl Into<String>) -> Self {
        Self {
            code: 254,
            sentence: sentence.into(),
        }
    }
}
