//! Numbers as lower-case hexadecimal of a fixed width, eight digits at a time, in one spelling.

/// The eight digits of a number.
#[must_use]
pub const fn digits(value: u32) -> [u8; 8] {
    spell(value).to_be_bytes()
}

/// The 16 digits of a number.
#[must_use]
pub fn long(value: u64) -> [u8; 16] {
    let mut text = [0; 16];
    let (high, low) = text.split_at_mut(8);
    high.copy_from_slice(&digits((value >> 32) as u32));
    low.copy_from_slice(&digits(value as u32));
    text
}

/// Appends the 16 digits of a number.
pub fn push(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&long(value));
}

/// Reads eight digits; `None` for any other character, upper case too.
#[must_use]
pub const fn read(digits: [u8; 8]) -> Option<u32> {
    let text = u64::from_be_bytes(digits);
    // Letters have bit 6 set, and 1 to 6 in their low half.
    let value = join(((text & LOW) + 9 * ((text >> 6) & ONES)) & LOW);
    // Only what is spelled like that is read like that.
    if spell(value) == text { Some(value) } else { None }
}

/// Reads 16 digits.
#[must_use]
pub fn read_long(digits: &[u8]) -> Option<u64> {
    let (high, low) = digits.split_first_chunk::<8>()?;
    let low = <[u8; 8]>::try_from(low).ok()?;
    Some(u64::from(read(*high)?) << 32 | u64::from(read(low)?))
}

/// The digits' text, each in its octet.
const fn spell(value: u32) -> u64 {
    let nibbles = spread(value);
    // 6 more carries 10 to 15 into the upper half of the octet.
    let letters = ((nibbles + 6 * ONES) >> 4) & ONES;
    nibbles + b'0' as u64 * ONES + (b'a' - b'9' - 1) as u64 * letters
}

/// Each half octet in an octet of its own.
const fn spread(value: u32) -> u64 {
    let value = value as u64;
    let value = (value | value << 16) & 0x0000_ffff_0000_ffff;
    let value = (value | value << 8) & 0x00ff_00ff_00ff_00ff;
    (value | value << 4) & LOW
}

/// The reverse of [`spread`].
const fn join(nibbles: u64) -> u32 {
    let value = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let value = (value | value >> 8) & 0x0000_ffff_0000_ffff;
    (value | value >> 16) as u32
}

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW: u64 = 0x0f * ONES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for value in [0, 1, 0x9abc_def0, 0x0123_4567, 0x89ab_cdef, u32::MAX] {
            let text = digits(value);
            assert_eq!(text.as_slice(), format!("{value:08x}").as_bytes());
            assert_eq!(read(text), Some(value));
        }
        let mut text = Vec::new();
        push(&mut text, 0x0123_4567_89ab_cdef);
        assert_eq!(text, b"0123456789abcdef");
        assert_eq!(read_long(&text), Some(0x0123_4567_89ab_cdef));
        assert_eq!((read_long(&text[..15]), read_long(b"0123456789abcdef0")), (None, None));
    }

    #[test]
    fn nothing_but_lower_case_digits() {
        for octet in 0..=u8::MAX {
            for at in 0..8 {
                let mut text = *b"01289abf";
                text[at] = octet;
                let digit = matches!(octet, b'0'..=b'9' | b'a'..=b'f');
                assert_eq!(read(text).is_some(), digit, "{octet} at {at}");
            }
        }
    }
}
