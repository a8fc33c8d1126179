//! Configuration: file types (unknown keys are errors) resolved once into a [`Plan`].

pub mod plan;

mod arithmetic;
mod demonstration;
mod error;
mod file;
mod machine;
mod resolve;
mod text;

#[cfg(test)]
mod tests;

pub use demonstration::demonstration;
pub use error::{ConfigError, ConfigErrors, Warning};
pub use machine::Machine;
pub use plan::Plan;

use std::path::{Path, PathBuf};

/// Where data is kept when `--data` is not given.
pub const DEFAULT_DATA: &str = "./ringfort-data";

/// A plan and what its operator should know.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What to run with.
    pub plan: Plan,
    /// What is odd or was lowered, each with what to do about it.
    pub warnings: Vec<Warning>,
}

/// Reads and resolves a configuration file.
/// # Errors
/// All that is wrong with it, each with its line.
pub fn load(file: &Path, data: Option<PathBuf>) -> Result<Resolved, ConfigErrors> {
    let text = std::fs::read_to_string(file).map_err(|error| ConfigErrors::unreadable(file, &error))?;
    parse(&text, file, data)
}

/// Resolves the text of a configuration file; `file` is its name in messages, and relative paths
/// in it start from its folder.
/// # Errors
/// All that is wrong with it, each with its line.
pub fn parse(text: &str, file: &Path, data: Option<PathBuf>) -> Result<Resolved, ConfigErrors> {
    resolve::resolve(
        text,
        file,
        data.unwrap_or_else(|| DEFAULT_DATA.into()),
        &Machine::probe(),
    )
}
