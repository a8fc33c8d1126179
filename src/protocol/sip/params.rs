//! `;name=value` lists: header parameters and URI parameters.

use super::text::{is_lws, is_param_name, plain, take_while, trim, trim_end, trim_start};

/// The parameters of `";a=b;c"`, with any white space. A flag has the value `None`; a quoted
/// value comes without its quotes and with its backslashes. Broken entries are left out.
pub fn params(raw: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    Params::new(raw)
        .filter_map(Result::ok)
        .map(|param| (param.name, param.value))
}

/// The value of a parameter by name, any case; `Some(b"")` for a flag.
pub(super) fn param<'a>(raw: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    params(raw)
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.unwrap_or(&[]))
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
    /// From its semicolon up to the next one or the end.
    pub(super) raw: &'a [u8],
}

/// A parameter that is none: empty, without a name, with an open quote or with rubbish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadParam;

/// The strict walk over a parameter list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Params<'a> {
    pub(super) fn new(raw: &'a [u8]) -> Self {
        Params { rest: trim(raw) }
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<Param<'a>, BadParam>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let [b';', after @ ..] = self.rest else {
            self.rest = &[];
            return Some(Err(BadParam));
        };
        if let Some((name, length)) = plain_entry(after) {
            let (raw, rest) = self.rest.split_at_checked(1 + length)?;
            self.rest = rest;
            let value = after.get(name + 1..length);
            let name = after.get(..name)?;
            return Some(Ok(Param { name, value, raw }));
        }
        let (end, quoted) = entry_end(after);
        let (entry, rest) = after.split_at(end);
        let raw = self.rest.get(..=end).unwrap_or(self.rest);
        self.rest = rest;
        if quoted {
            return Some(Err(BadParam));
        }
        Some(entry_of(entry, raw))
    }
}

/// The entry at the start of `after` when it is `name` or `name=value` without white space and
/// quotes, as nearly all are: the length of the name and of the whole.
fn plain_entry(after: &[u8]) -> Option<(usize, usize)> {
    let name = after
        .iter()
        .position(|&octet| !is_param_name(octet))
        .unwrap_or(after.len());
    let end = match after.get(name) {
        Some(b'=') => name + 1 + plain(after.get(name + 1..)?),
        _ => name,
    };
    (name > 0 && matches!(after.get(end), None | Some(b';'))).then_some((name, end))
}

/// Where the next semicolon outside quotes is, and whether a quote is left open.
fn entry_end(after: &[u8]) -> (usize, bool) {
    match memchr::memchr2(b';', b'"', after) {
        None => return (after.len(), false),
        Some(index) if after.get(index) == Some(&b';') => return (index, false),
        Some(_) => {}
    }
    let mut quoted = false;
    let mut escaped = false;
    for (index, &octet) in after.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return (index, quoted),
            _ => {}
        }
    }
    (after.len(), quoted)
}

fn entry_of<'a>(entry: &'a [u8], raw: &'a [u8]) -> Result<Param<'a>, BadParam> {
    let entry = trim_start(entry);
    let (name, rest) = take_while(entry, is_param_name);
    if name.is_empty() {
        return Err(BadParam);
    }
    let rest = trim(rest);
    let value = match rest {
        [] => None,
        [b'=', value @ ..] => Some(value_of(trim_start(value))?),
        _ => return Err(BadParam),
    };
    Ok(Param {
        name,
        value,
        raw: trim_end(raw),
    })
}

fn value_of(value: &[u8]) -> Result<&[u8], BadParam> {
    match value {
        [b'"', inner @ .., b'"'] => {
            // `"a" "b"` and `"a\"` are no quoted strings.
            let mut escaped = false;
            for &octet in inner {
                match octet {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => return Err(BadParam),
                    _ => {}
                }
            }
            if escaped { Err(BadParam) } else { Ok(inner) }
        }
        _ if value
            .iter()
            .any(|&octet| is_lws(octet) || matches!(octet, b'"' | b',' | b'<' | b'>')) =>
        {
            Err(BadParam)
        }
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(raw: &str) -> Vec<(String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        params(raw.as_bytes())
            .map(|(name, value)| (text(name), value.map(text)))
            .collect()
    }

    #[test]
    fn white_space_quotes_and_flags() {
        let got = list(" ; a = b;c ;\r\n d = \"x;\\\" y\" ;e=");
        let want = [("a", Some("b")), ("c", None), ("d", Some("x;\\\" y")), ("e", Some(""))];
        assert_eq!(
            got,
            want.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
        );
    }

    #[test]
    fn broken_entries_are_errors_in_the_strict_walk() {
        for bad in [
            ";",
            ";;a",
            ";a;",
            "a=b",
            ";a b",
            ";a=b c",
            ";a=\"x",
            ";a=\"x\" y",
            ";=b",
            ";a=\"\\\"",
            ";a=<b>",
        ] {
            assert!(Params::new(bad.as_bytes()).any(|entry| entry.is_err()), "{bad}");
        }
    }

    #[test]
    fn by_name_in_any_case() {
        assert_eq!(param(b";Tag=x;lr", b"tag"), Some(&b"x"[..]));
        assert_eq!(param(b";Tag=x;LR", b"lr"), Some(&b""[..]));
        assert_eq!(param(b";Tag=x", b"ta"), None);
    }
}
