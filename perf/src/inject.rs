//! Injection files (`-inf`): one line a call, fields with `;` between.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

/// In which order lines are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, from the top again at the end.
    Sequential,
    /// Any.
    Random,
    /// As users: call after call of one user (`-users`).
    User,
}

/// One file.
#[derive(Debug)]
pub struct File {
    /// Its name as `[field0 file="..."]` says it.
    pub name: String,
    /// In which order lines are used.
    pub order: Order,
    text: String,
    /// Start and end of each field; `fields` to a line.
    lines: Vec<(u32, u32)>,
    index: HashMap<String, u32>,
}

/// All files, in the order given.
#[derive(Debug, Default)]
pub struct Files {
    /// The files.
    pub files: Vec<File>,
}

impl File {
    /// Reads a file.
    /// # Errors
    /// One sentence with the file and what is expected.
    pub fn read(path: &str) -> Result<Self, String> {
        let octets = std::fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        let text = String::from_utf8(octets)
            .unwrap_or_else(|error| error.into_bytes().iter().map(|&o| char::from(o)).collect());
        let name = Path::new(path)
            .file_name()
            .map_or(path.into(), |name| name.to_string_lossy());
        Self::parse(path, &name, text)
    }

    fn parse(path: &str, name: &str, text: String) -> Result<Self, String> {
        if text.len() > u32::MAX as usize {
            return Err(format!("{path}: larger than 4 GiB"));
        }
        let (mut lines, mut order, mut start) = (Vec::new(), None, 0);
        for line in text.split_inclusive('\n') {
            let trimmed = line.trim_end_matches(['\n', '\r']);
            let place = (start as u32, (start + trimmed.len()) as u32);
            start += line.len();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            if order.is_none() {
                let word = trimmed.split([',', ';']).next().unwrap_or_default().trim();
                order = Some(match word {
                    "SEQUENTIAL" => Order::Sequential,
                    "RANDOM" => Order::Random,
                    "USER" => Order::User,
                    _ => {
                        return Err(format!(
                            "{path}:1: SEQUENTIAL, RANDOM or USER is expected, not {word:?}"
                        ));
                    }
                });
                if trimmed.contains("PRINTF") {
                    return Err(format!("{path}:1: PRINTF= is not supported; write the lines out"));
                }
                continue;
            }
            lines.push(place);
        }
        let order = order.ok_or_else(|| format!("{path}: empty; SEQUENTIAL, RANDOM or USER is expected in line 1"))?;
        if lines.is_empty() {
            return Err(format!("{path}: no line of fields after the first"));
        }
        Ok(Self {
            name: name.to_owned(),
            order,
            text,
            lines,
            index: HashMap::new(),
        })
    }

    /// As many users as asked for, without a file: name;[authentication fields] by pattern.
    #[must_use]
    pub fn users(count: u32, first: u64, prefix: &str, password: &str) -> Self {
        let (mut text, mut lines) = (String::new(), Vec::new());
        for number in 0..u64::from(count) {
            let start = text.len() as u32;
            let _ = write!(text, "{prefix}{};{password}", first + number);
            lines.push((start, text.len() as u32));
        }
        Self {
            name: "users".into(),
            order: Order::Sequential,
            text,
            lines,
            index: HashMap::new(),
        }
    }

    /// Makes lines findable by a field.
    pub fn index(&mut self, field: usize) {
        self.index = (0..self.len())
            .map(|line| (self.field(line, field).to_owned(), line as u32))
            .collect();
    }

    /// The line whose indexed field has this value.
    #[must_use]
    pub fn look_up(&self, key: &str) -> Option<usize> {
        self.index.get(key).map(|&line| line as usize)
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Never: a file without lines is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A field; empty when the line has fewer.
    #[must_use]
    pub fn field(&self, line: usize, field: usize) -> &str {
        self.lines
            .get(line)
            .and_then(|&(start, end)| self.text.get(start as usize..end as usize)?.split(';').nth(field))
            .unwrap_or_default()
    }
}

impl Files {
    /// Number of the file with this name; the first when no name is given.
    #[must_use]
    pub fn find(&self, name: Option<&str>) -> Option<usize> {
        match name {
            None => (!self.files.is_empty()).then_some(0),
            Some(name) => self.files.iter().position(|file| {
                file.name == name || Path::new(name).file_name().is_some_and(|last| *last == *file.name)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fields_and_comments() {
        let mut file =
            File::parse("u.csv", "u.csv", "SEQUENTIAL\r\n#c\nalice;secret\r\nbob;x;y\n".into()).expect("good");
        assert_eq!((file.order, file.len()), (Order::Sequential, 2));
        assert_eq!(
            (file.field(0, 1), file.field(1, 2), file.field(0, 2), file.field(9, 0)),
            ("secret", "y", "", "")
        );
        file.index(0);
        assert_eq!((file.look_up("bob"), file.look_up("eve")), (Some(1), None));
        assert!(
            File::parse("u", "u", "alice;x\n".into())
                .expect_err("no order")
                .contains("u:1: SEQUENTIAL")
        );
        assert!(File::parse("u", "u", "RANDOM\n".into()).is_err());
    }

    #[test]
    fn generated_users() {
        let file = File::users(3, 1001, "u", "p");
        assert_eq!((file.len(), file.field(2, 0), file.field(2, 1)), (3, "u1003", "p"));
    }
}
