//! Decimal numbers and addresses as text, without the machinery of `fmt`.

use std::io::Write as _;
use std::net::IpAddr;

/// Appends a decimal number.
pub fn write_number(out: &mut Vec<u8>, n: u64) {
    let mut digits = [0u8; 20];
    let mut rest = n;
    let mut start = digits.len();
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        start = index;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or(&[]));
}

/// Appends an address, IPv6 without brackets.
pub fn write_ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let mut text = [0; 16];
            let mut end = 0;
            for octet in v4.octets() {
                if let Some(place) = text.get_mut(end..end + 4) {
                    place.copy_from_slice(&OCTETS[usize::from(octet)]);
                }
                end += 2 + usize::from(octet > 9) + usize::from(octet > 99);
            }
            out.extend_from_slice(text.get(..end - 1).unwrap_or(&[]));
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// The text of each octet of an IPv4 address, with the dot behind it.
const OCTETS: [[u8; 4]; 256] = {
    let mut texts = [[b'.'; 4]; 256];
    let mut octet = 0;
    while octet < texts.len() {
        let [hundreds, tens, units] = [octet / 100, octet / 10 % 10, octet % 10];
        let digits = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + units as u8];
        let zeros = (octet < 100) as usize + (octet < 10) as usize;
        let mut place = 0;
        while place + zeros < digits.len() {
            texts[octet][place] = digits[place + zeros];
            place += 1;
        }
        octet += 1;
    }
    texts
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses() {
        for n in [0, 9, 10, 255, 65535, 4_294_967_295, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, n);
            assert_eq!(out, n.to_string().into_bytes());
        }
        let each = (0..=255).map(|octet| format!("{octet}.{octet}.9.{octet}"));
        for address in each.chain(["255.10.9.100", "2001:db8::1", "::"].map(String::from)) {
            let mut out = Vec::new();
            write_ip(&mut out, address.parse().expect("an address"));
            assert_eq!(out, address.as_bytes());
        }
    }
}
