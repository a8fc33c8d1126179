//! Bencoding as far as rtpengine's ng protocol needs it: dictionaries of strings and lists.

/// Appends a byte string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(text.as_bytes());
}

/// Writes a dictionary of strings; the keys have to be sorted.
pub fn dictionary(out: &mut Vec<u8>, entries: &[(&str, &str)]) {
    debug_assert!(entries.is_sorted_by_key(|entry| entry.0));
    out.push(b'd');
    for (key, value) in entries {
        string(out, key);
        string(out, value);
    }
    out.push(b'e');
}

/// Finds the string value of `key` on the top level of an encoded dictionary.
#[must_use]
pub fn find<'a>(encoded: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut rest = encoded.strip_prefix(b"d")?;
    while *rest.first()? != b'e' {
        let (name, after) = read_string(rest)?;
        if name == key.as_bytes() {
            return Some(read_string(after)?.0);
        }
        rest = skip(after, 0)?;
    }
    None
}

fn read_string(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = encoded.iter().position(|&octet| octet == b':')?;
    let length: usize = std::str::from_utf8(&encoded[..colon]).ok()?.parse().ok()?;
    encoded[colon + 1..].split_at_checked(length)
}

fn skip(encoded: &[u8], depth: u8) -> Option<&[u8]> {
    match *encoded.first()? {
        _ if depth > 20 => None,
        b'i' => encoded
            .iter()
            .position(|&octet| octet == b'e')
            .map(|end| &encoded[end + 1..]),
        b'l' | b'd' => {
            let mut rest = &encoded[1..];
            while *rest.first()? != b'e' {
                rest = skip(rest, depth + 1)?;
            }
            Some(&rest[1..])
        }
        _ => Some(read_string(encoded)?.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_past_nested_values() {
        let encoded = b"d1:al1:x2:yyi-4ee6:result2:ok3:sdp5:v=0\r\ne";
        assert_eq!(find(encoded, "sdp"), Some(&b"v=0\r\n"[..]));
        assert_eq!(find(encoded, "result"), Some(&b"ok"[..]));
        assert_eq!(find(encoded, "none"), None);
        assert_eq!(find(b"d3:sdp99:short", "sdp"), None);
    }

    #[test]
    fn writes_what_it_finds() {
        let mut out = Vec::new();
        dictionary(&mut out, &[("command", "ping"), ("sdp", "v=0")]);
        assert_eq!(find(&out, "sdp"), Some(&b"v=0"[..]));
    }
}
