//! What is wrong with a configuration file, where, and what is expected instead.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was given.
    pub file: PathBuf,
    /// From 1; 0 when the file could not be read at all.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// The key, for example `sip.listen`.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " found {}, expected {}", self.found, self.expected)
    }
}

/// All mistakes of a file, in the order of their lines; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        Self(vec![ConfigError {
            file: file.into(),
            line: 0,
            column: 0,
            key: String::new(),
            found: format!("no readable file ({error})"),
            expected: "a configuration file; `ringfort init DIR` writes one".into(),
        }])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Something odd that does not stop the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `file:line`, or empty when no line is to blame.
    pub place: String,
    /// What, and what to do about it.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.place, self.text)
        }
    }
}

/// A range of octets in the file.
pub(super) type Span = Range<usize>;

/// Collects errors and warnings while a file is read, and knows its lines.
pub(super) struct Report {
    file: PathBuf,
    /// Where each line starts.
    lines: Vec<usize>,
    text: String,
    errors: Vec<(usize, ConfigError)>,
    warnings: Vec<(usize, Warning)>,
}

impl Report {
    pub(super) fn new(file: &Path, text: &str) -> Self {
        let starts = text
            .bytes()
            .enumerate()
            .filter(|(_, octet)| *octet == b'\n')
            .map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self {
            file: file.into(),
            lines,
            text: text.into(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn error(&mut self, at: &Span, key: &str, found: impl Into<String>, expected: impl Into<String>) {
        let (line, column) = self.place(at.start);
        let (file, key) = (self.file.clone(), key.into());
        let error = ConfigError {
            file,
            line,
            column,
            key,
            found: found.into(),
            expected: expected.into(),
        };
        self.errors.push((at.start, error));
    }

    pub(super) fn warn(&mut self, at: &Span, text: impl Into<String>) {
        let place = format!("{}:{}", self.file.display(), self.line(at));
        self.warnings.push((
            at.start,
            Warning {
                place,
                text: text.into(),
            },
        ));
    }

    /// 1-based line of a span.
    pub(super) fn line(&self, at: &Span) -> u32 {
        self.place(at.start).0
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The warnings, or the errors if there are any; both in the order of the file.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, ConfigErrors> {
        if self.errors.is_empty() {
            self.warnings.sort_by_key(|(at, _)| *at);
            return Ok(self.warnings.into_iter().map(|(_, warning)| warning).collect());
        }
        self.errors.sort_by_key(|(at, _)| *at);
        Err(ConfigErrors(self.errors.into_iter().map(|(_, error)| error).collect()))
    }

    fn place(&self, at: usize) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count());
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(column + 1).unwrap_or(u32::MAX),
        )
    }
}
