//! Numbers as lower-case hexadecimal of a fixed width, in both directions and one spelling.

/// Fills `digits` with the lowest digits of `value`.
pub fn write(digits: &mut [u8], value: u64) {
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest & 15) as usize];
        rest >>= 4;
    }
}

/// Appends all 16 digits of `value`.
pub fn push(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 16];
    write(&mut digits, value);
    out.extend_from_slice(&digits);
}

/// Reads 1 to 16 digits; `None` for any other character, upper case too.
#[must_use]
pub fn read(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut value = 0;
    let mut seen = 0;
    for &digit in digits {
        let nibble = VALUES[usize::from(digit)];
        seen |= nibble;
        value = (value << 4) | u64::from(nibble & 15);
    }
    (seen < 16).then_some(value)
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// What an octet is worth as a digit.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};
/// Beyond all values, also when it is combined with them.
const NO_DIGIT: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for value in [0, 1, 0xfedc_ba98_7654_3210, u64::MAX] {
            let mut text = Vec::new();
            push(&mut text, value);
            assert_eq!(text, format!("{value:016x}").into_bytes());
            assert_eq!(read(&text), Some(value));
        }
        let mut short = [0; 4];
        write(&mut short, 0x00ab);
        assert_eq!((&short, read(&short)), (b"00ab", Some(0xab)));
    }

    #[test]
    fn nothing_but_lower_case_digits() {
        for octet in 0..=u8::MAX {
            let digit = matches!(octet, b'0'..=b'9' | b'a'..=b'f');
            assert_eq!(read(&[b'1', octet]).is_some(), digit, "{octet}");
        }
        assert_eq!((read(b""), read(&[b'0'; 17])), (None, None));
    }
}
