//! The file's sections, one reader each. A reader takes the keys that it knows out of its section,
//! applies the defaults, and reports what is wrong with line and key; keys that nobody took are
//! errors.
//!
//! The readers walk the parsed document with its spans. Derived deserialisers would stop at the
//! first mistake; an operator wants all of them at once.

pub(super) mod media;
pub(super) mod people;
pub(super) mod policy;
pub(super) mod sip;

use crate::config::error::{Report, Span};
use crate::config::text::nearest;
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table whose keys are being taken.
pub(super) struct Section<'t> {
    /// For messages: `sip`, `trunk`, …
    path: String,
    at: Span,
    /// Keys not taken yet.
    rest: Vec<(&'t str, Span, &'t Spanned<DeValue<'t>>)>,
    /// Keys asked for: what would have been right instead of an unknown one.
    known: Vec<&'static str>,
}

/// One value with its key.
#[derive(Clone)]
pub(super) struct Item<'t> {
    /// For messages: `sip.listen`.
    pub(super) path: String,
    pub(super) at: Span,
    value: &'t DeValue<'t>,
}

impl<'t> Section<'t> {
    pub(super) fn root(table: &'t DeTable<'t>) -> Self {
        Self::new(String::new(), 0..0, table)
    }

    fn new(path: String, at: Span, table: &'t DeTable<'t>) -> Self {
        let rest = table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
            .collect();
        Self {
            path,
            at,
            rest,
            known: Vec::new(),
        }
    }

    /// Where the section starts.
    pub(super) fn at(&self) -> &Span {
        &self.at
    }

    /// Takes a key out.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Item<'t>> {
        self.known.push(key);
        let index = self.rest.iter().position(|(name, _, _)| *name == key)?;
        let (name, _, value) = self.rest.swap_remove(index);
        Some(Item {
            path: self.path_of(name),
            at: value.span(),
            value: value.get_ref(),
        })
    }

    /// Takes a sub-table out; an empty one when it is missing.
    pub(super) fn section(&mut self, key: &'static str, report: &mut Report) -> Section<'t> {
        let at = self
            .rest
            .iter()
            .find(|(name, _, _)| *name == key)
            .map(|(_, at, _)| at.clone());
        match self.take(key) {
            Some(item) => match item.section() {
                Some(section) => Section {
                    at: at.unwrap_or(section.at),
                    ..section
                },
                None => {
                    item.wrong(report, &format!("a table: [{}]", item.path));
                    Section {
                        path: item.path,
                        at: item.at,
                        rest: Vec::new(),
                        known: Vec::new(),
                    }
                }
            },
            None => Section {
                path: self.path_of(key),
                at: self.at.clone(),
                rest: Vec::new(),
                known: Vec::new(),
            },
        }
    }

    /// Takes an array of tables out (`[[user]]`); empty when it is missing.
    pub(super) fn sections(&mut self, key: &'static str, report: &mut Report) -> Vec<Section<'t>> {
        let Some(item) = self.take(key) else { return Vec::new() };
        let expected = format!("a list of tables: a line [[{0}]] before each {0}", item.path);
        let Some(items) = item.list() else {
            item.wrong(report, &expected);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for element in items {
            match element.section() {
                Some(section) => sections.push(section),
                None => element.wrong(report, &expected),
            }
        }
        sections
    }

    /// Takes an integer within limits, or the default.
    pub(super) fn integer<N>(&mut self, key: &'static str, (least, most): (N, N), default: N, report: &mut Report) -> N
    where
        N: Copy + FromStr + PartialOrd + std::fmt::Display,
    {
        self.take(key)
            .and_then(|item| item.integer((least, most), report))
            .unwrap_or(default)
    }

    /// Takes whole seconds within limits, or the default.
    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        limits: (u64, u64),
        default: u64,
        report: &mut Report,
    ) -> Duration {
        Duration::from_secs(self.integer(key, limits, default, report))
    }

    /// Takes one of a few words, or the default.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)], report: &mut Report) -> Option<T> {
        self.take(key).and_then(|item| item.word(words, report))
    }

    /// Takes true or false, or the default.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool, report: &mut Report) -> bool {
        let Some(item) = self.take(key) else { return default };
        match item.value {
            DeValue::Boolean(value) => *value,
            _ => {
                item.wrong(report, "true or false");
                default
            }
        }
    }

    /// Reports the keys that nobody took.
    pub(super) fn finish(self, report: &mut Report) {
        for (key, at, _) in &self.rest {
            let mut known = self.known.clone();
            known.sort_unstable();
            let hint = match nearest(key, known.iter().copied()) {
                Some(near) => format!("`{near}`"),
                None if self.path.is_empty() => format!("a section such as [sip]: {}", known.join(", ")),
                None => format!("one of {}", known.join(", ")),
            };
            report.error(at, &self.path_of(key), "an unknown key", hint);
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

impl<'t> Item<'t> {
    pub(super) fn section(&self) -> Option<Section<'t>> {
        let DeValue::Table(table) = self.value else { return None };
        Some(Section::new(self.path.clone(), self.at.clone(), table))
    }

    /// The elements when it is a list; each has the list's key.
    pub(super) fn list(&self) -> Option<Vec<Item<'t>>> {
        let DeValue::Array(array) = self.value else { return None };
        let item = |value: &'t Spanned<DeValue<'t>>| Item {
            path: self.path.clone(),
            at: value.span(),
            value: value.get_ref(),
        };
        Some(array.iter().map(item).collect())
    }

    /// The elements when it is a list, otherwise itself: "a string or a list of strings".
    pub(super) fn one_or_more(self) -> Vec<Item<'t>> {
        self.list().unwrap_or_else(|| vec![self])
    }

    pub(super) fn text(&self) -> Option<&'t str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            _ => None,
        }
    }

    /// `false`, as in `echo = false`.
    pub(super) fn is_false(&self) -> bool {
        matches!(self.value, DeValue::Boolean(false))
    }

    /// A string that `read` understands.
    pub(super) fn read<T>(
        &self,
        expected: &str,
        report: &mut Report,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.text().and_then(read);
        if value.is_none() {
            self.wrong(report, expected);
        }
        value
    }

    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)], report: &mut Report) -> Option<T> {
        let expected: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        self.read(&expected.join(" or "), report, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
        })
    }

    pub(super) fn integer<N>(&self, (least, most): (N, N), report: &mut Report) -> Option<N>
    where
        N: Copy + FromStr + PartialOrd + std::fmt::Display,
    {
        let number = match self.value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse::<N>().ok(),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(report, &format!("a whole number from {least} to {most}"));
        }
        number
    }

    /// Reports that something else was expected.
    pub(super) fn wrong(&self, report: &mut Report, expected: &str) {
        report.error(&self.at, &self.path, self.shown(), expected);
    }

    /// The value as it can be shown in a message: short, and on one line.
    fn shown(&self) -> String {
        match self.value {
            DeValue::String(text) => {
                let short: String = text.chars().take(60).collect();
                let more = if short.len() < text.len() { "…" } else { "" };
                format!("{short:?}{more}")
            }
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(_) => "a date".into(),
            DeValue::Array(_) => "a list".into(),
            DeValue::Table(_) => "a table".into(),
        }
    }
}
