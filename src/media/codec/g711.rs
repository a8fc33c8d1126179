//! G.711: A-law and mu-law by table, bit for bit as ITU-T's software tools (G.191) do it. Samples
//! are 16 bits, of which A-law uses the upper 13 and mu-law the upper 14.

/// Linear to A-law (PCMA).
#[inline]
#[must_use]
pub fn to_a_law(sample: i16) -> u8 {
    TO_A_LAW[usize::from(sample as u16 >> 4)]
}

/// Linear to mu-law (PCMU).
#[inline]
#[must_use]
pub fn to_mu_law(sample: i16) -> u8 {
    TO_MU_LAW[usize::from(sample as u16 >> 2)]
}

/// A-law to linear.
#[inline]
#[must_use]
pub fn from_a_law(code: u8) -> i16 {
    FROM_A_LAW[usize::from(code)]
}

/// Mu-law to linear.
#[inline]
#[must_use]
pub fn from_mu_law(code: u8) -> i16 {
    FROM_MU_LAW[usize::from(code)]
}

// Indexed by the sample's used bits as an unsigned number: every index exists.
static TO_A_LAW: [u8; 1 << 12] = a_law_table();
static TO_MU_LAW: [u8; 1 << 14] = mu_law_table();
static FROM_A_LAW: [i16; 256] = a_law_inverse();
static FROM_MU_LAW: [i16; 256] = mu_law_inverse();

const fn a_law_table() -> [u8; 1 << 12] {
    let mut table = [0; 1 << 12];
    let mut index = 0;
    while index < table.len() {
        let sample = (index << 4) as u16 as i16;
        // One's complement of negative samples, 11 bits of magnitude.
        let mut code = (if sample < 0 { !sample } else { sample }) >> 4;
        if code > 15 {
            let mut exponent = 1;
            while code > 31 {
                code >>= 1;
                exponent += 1;
            }
            code += (exponent << 4) - 16;
        }
        if sample >= 0 {
            code |= 0x80;
        }
        table[index] = code as u8 ^ 0x55;
        index += 1;
    }
    table
}

const fn mu_law_table() -> [u8; 1 << 14] {
    let mut table = [0; 1 << 14];
    let mut index = 0;
    while index < table.len() {
        let sample = (index << 2) as u16 as i16;
        let mut magnitude = ((if sample < 0 { !sample } else { sample }) >> 2) + 33;
        if magnitude > 0x1fff {
            magnitude = 0x1fff;
        }
        let mut segment = 1;
        let mut rest = magnitude >> 6;
        while rest != 0 {
            segment += 1;
            rest >>= 1;
        }
        let low = 0xf - ((magnitude >> segment) & 0xf);
        let code = ((8 - segment) << 4) | low;
        table[index] = if sample >= 0 { code as u8 | 0x80 } else { code as u8 };
        index += 1;
    }
    table
}

const fn a_law_inverse() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = (code as u8 ^ 0x55) & 0x7f;
        let exponent = bits >> 4;
        let mut mantissa = (bits & 0xf) as i16;
        if exponent > 0 {
            mantissa += 16;
        }
        mantissa = (mantissa << 4) + 8;
        if exponent > 1 {
            mantissa <<= exponent - 1;
        }
        table[code] = if code > 127 { mantissa } else { -mantissa };
        code += 1;
    }
    table
}

const fn mu_law_inverse() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !(code as u8);
        let exponent = (bits >> 4) & 7;
        let step = 4i32 << (exponent + 1);
        let linear = (0x80i32 << exponent) + step * (bits & 0xf) as i32 + step / 2 - 4 * 33;
        table[code] = if code < 128 { -linear as i16 } else { linear as i16 };
        code += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::seeds;

    #[test]
    fn known_values() {
        assert_eq!((to_mu_law(0), to_a_law(0)), (0xff, 0xd5));
        assert_eq!((to_mu_law(i16::MAX), to_mu_law(i16::MIN)), (0x80, 0x00));
        assert_eq!((to_a_law(i16::MAX), to_a_law(i16::MIN)), (0xaa, 0x2a));
        assert_eq!((from_mu_law(0x80), from_a_law(0xaa)), (32_124, 32_256));
    }

    #[test]
    fn codes_survive_a_round_trip() {
        for code in 0..=255u8 {
            assert_eq!(to_a_law(from_a_law(code)), code);
            // Mu-law has two zeros; the negative one comes back as such only by one's complement.
            if code != 0x7f {
                assert_eq!(to_mu_law(from_mu_law(code)), code);
            }
        }
    }

    #[test]
    fn error_is_within_half_a_step() {
        for sample in (i16::MIN..=i16::MAX).step_by(7) {
            let step = (i32::from(sample).abs() / 16).max(16);
            let error = |decoded: i16| (i32::from(decoded) - i32::from(sample)).abs();
            assert!(error(from_a_law(to_a_law(sample))) <= step, "{sample}");
            assert!(error(from_mu_law(to_mu_law(sample))) <= step.max(700), "{sample}");
        }
    }

    /// The file of ITU-T's vectors, unpacked by the system's gzip; `None` where either is absent.
    fn vector(name: &str) -> Option<Vec<u8>> {
        let path = seeds::root().join("itu-codecs/g711").join(name);
        if !seeds::present() || !path.exists() {
            return None;
        }
        let unpacked = std::process::Command::new("gzip").arg("-dc").arg(&path).output().ok()?;
        unpacked.status.success().then_some(unpacked.stdout)
    }

    fn words(octets: &[u8]) -> Vec<i16> {
        octets
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect()
    }

    #[test]
    fn itu_vectors() {
        let Some(source) = vector("sweep.src.gz").map(|octets| words(&octets)) else {
            eprintln!("skipped: no G.711 vectors");
            return;
        };
        // The logarithmic samples are stored right-justified in 16 bits.
        let codes = |name: &str| {
            words(&vector(name).unwrap())
                .iter()
                .map(|&word| word as u8)
                .collect::<Vec<_>>()
        };
        let linear = |name: &str| words(&vector(name).unwrap());
        let (a, mu) = (codes("sweep-r.a.gz"), codes("sweep-r.u.gz"));
        assert!(a.len() >= 60_000 && a.len() == source.len() && mu.len() == source.len());
        for (at, &sample) in source.iter().enumerate() {
            assert_eq!(to_a_law(sample), a[at], "A-law of {sample}");
            assert_eq!(to_mu_law(sample), mu[at], "mu-law of {sample}");
        }
        for (at, (&a_decoded, &mu_decoded)) in linear("sweep-r.rea.gz")
            .iter()
            .zip(&linear("sweep-r.reu.gz"))
            .enumerate()
        {
            assert_eq!(from_a_law(a[at]), a_decoded, "A-law {}", a[at]);
            assert_eq!(from_mu_law(mu[at]), mu_decoded, "mu-law {}", mu[at]);
        }
    }
}
