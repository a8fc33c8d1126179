//! Header values that are lists: split at commas outside quotes and angle brackets.

use super::text::trim;

/// The values of one header line, each trimmed; empty ones are left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Values<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Values { rest: line }
    }

    /// What comes after the values taken so far, without the comma.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = value_end(self.rest);
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or(&[]);
            let value = trim(value);
            if !value.is_empty() {
                return Some(value);
            }
        }
        None
    }
}

/// Where the first value ends: at a comma or at the end of the line. A backslash counts in
/// quotes only; quotes do not count between angle brackets, where a URI is.
fn value_end(line: &[u8]) -> usize {
    // Most lines have no comma, or nothing before it that could hide it.
    let Some(comma) = memchr::memchr(b',', line) else {
        return line.len();
    };
    if memchr::memchr2(b'"', b'<', line.get(..comma).unwrap_or(&[])).is_none() {
        return comma;
    }
    let mut quoted = false;
    let mut angle = false;
    let mut escaped = false;
    for (index, &octet) in line.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !angle => quoted = !quoted,
            b'<' if !quoted => angle = true,
            b'>' if !quoted => angle = false,
            b',' if !quoted && !angle => return index,
            _ => {}
        }
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_brackets_do_not_split() {
        let line = br#"  "Bell, \"A, B\"" <sip:a,b@c>;x="1,2" , , <sip:d> ,e,"#;
        let got: Vec<&[u8]> = Values::new(line).collect();
        assert_eq!(got, [&br#""Bell, \"A, B\"" <sip:a,b@c>;x="1,2""#[..], b"<sip:d>", b"e"]);
    }

    #[test]
    fn an_open_quote_or_bracket_takes_the_rest() {
        assert_eq!(Values::new(b"\"a, b").count(), 1);
        assert_eq!(Values::new(b"<a, b").count(), 1);
        assert_eq!(Values::new(b" , ,").count(), 0);
        assert_eq!(Values::new(b"").count(), 0);
    }
}
