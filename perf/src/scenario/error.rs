//! What is wrong with a scenario, for people.

use std::fmt;

/// Where, what, and what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file (or the name of a built-in scenario).
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// The element, without brackets; empty when the file is no XML.
    pub element: String,
    /// What is wrong and what is expected.
    pub sentence: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.element.is_empty() {
            write!(f, "<{}>: ", self.element)?;
        }
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for ScenarioError {}
