//! Aligned columns. What peers chose (names, user agents) is printed without control characters,
//! so that it cannot drive the terminal.

use std::io::{self, Write};

/// Which side a column's text keeps to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

pub(crate) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

/// Without control characters, and without those that turn the direction of writing.
pub(crate) fn tame(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c })
        .collect()
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Side)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells.iter().map(|cell| tame(cell)).collect());
    }

    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = |n: usize| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(n))
                .map(|cell| cell.chars().count());
            cells
                .chain(self.columns.get(n).map(|(title, _)| title.len()))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let titles: Vec<String> = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, (_, side)), &width) in row.iter().zip(&self.columns).zip(&widths) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                match side {
                    Side::Left => line.push_str(&format!("{cell:<width$}")),
                    Side::Right => line.push_str(&format!("{cell:>width$}")),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_hostile_text_is_tame() {
        let mut table = Table::new(&[("NAME", Side::Left), ("N", Side::Right), ("X", Side::Left)]);
        table.row(vec!["müller".into(), "1".into(), "a".into()]);
        table.row(vec!["\u{1b}[2Jx\u{202e}".into(), "100".into(), String::new()]);
        let mut out = Vec::new();
        table.print(&mut out).unwrap_or_else(|error| panic!("{error}"));
        let text = String::from_utf8(out).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(text, "NAME      N  X\nmüller    1  a\n\u{fffd}[2Jx\u{fffd}  100\n");
    }
}
