//! The RIFF/WAVE container ("Multimedia Programming Interface and Data Specifications 1.0"; format
//! tags of RFC 2361). By hand, since the crate `hound` refuses the two laws of G.711; it is the
//! oracle of the tests.

use super::clip::{Fault, Law};

const PCM: u16 = 1;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
/// The tag is in the first two octets of the sub-format's GUID.
const EXTENSIBLE: u16 = 0xfffe;

/// How one sample is stored.
#[derive(Clone, Copy)]
enum Sample {
    Linear,
    Logarithmic(Law),
}

struct Format {
    sample: Sample,
    channels: usize,
    rate: u32,
}

/// The first channel as G.711 at 8 kHz. Octets of the wanted law at 8 kHz are passed on as they are.
pub(super) fn read(octets: &[u8], law: Law) -> Result<Vec<u8>, Fault> {
    let chunks = match octets {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', chunks @ ..] => chunks,
        _ => return Err(Fault::NotWav),
    };
    let format = format(chunk(chunks, *b"fmt ").ok_or(Fault::NotWav)?)?;
    let data = chunk(chunks, *b"data").ok_or(Fault::WavNoData)?;
    let decoded = match format.sample {
        Sample::Logarithmic(from) if from == law && format.rate == 8_000 => data
            .chunks_exact(format.channels)
            .filter_map(|frame| frame.first().copied())
            .collect(),
        Sample::Logarithmic(from) => {
            let firsts = data.chunks_exact(format.channels).filter_map(|frame| frame.first());
            encode(firsts.map(|&octet| from.decode(octet)), format.rate, law)
        }
        Sample::Linear => {
            let firsts = data
                .chunks_exact(format.channels * 2)
                .filter_map(|frame| frame.first_chunk());
            encode(firsts.map(|&sample| i16::from_le_bytes(sample)), format.rate, law)
        }
    };
    if decoded.is_empty() {
        Err(Fault::WavNoData)
    } else {
        Ok(decoded)
    }
}

fn encode(samples: impl Iterator<Item = i16>, rate: u32, law: Law) -> Vec<u8> {
    if rate == 8_000 {
        return samples.map(|sample| law.encode(sample)).collect();
    }
    let samples: Vec<i32> = samples.map(i32::from).collect();
    let mean = |pair: &[i32]| law.encode((pair.iter().sum::<i32>() / 2) as i16);
    samples.chunks_exact(2).map(mean).collect()
}

fn format(chunk: &[u8]) -> Result<Format, Fault> {
    let &[t0, t1, c0, c1, r0, r1, r2, r3, _, _, _, _, _, _, b0, b1] = chunk.first_chunk().ok_or(Fault::NotWav)?;
    let mut tag = u16::from_le_bytes([t0, t1]);
    if tag == EXTENSIBLE
        && let Some(&[low, high]) = chunk.get(24..).and_then(|guid| guid.first_chunk())
    {
        tag = u16::from_le_bytes([low, high]);
    }
    let (channels, bits) = (u16::from_le_bytes([c0, c1]), u16::from_le_bytes([b0, b1]));
    let rate = u32::from_le_bytes([r0, r1, r2, r3]);
    let sample = match (tag, bits) {
        (PCM, 16) => Sample::Linear,
        (A_LAW, 8) => Sample::Logarithmic(Law::A),
        (MU_LAW, 8) => Sample::Logarithmic(Law::Mu),
        _ => return Err(Fault::WavFormat { tag, bits, channels }),
    };
    if channels == 0 {
        return Err(Fault::WavFormat { tag, bits, channels });
    }
    if !matches!(rate, 8_000 | 16_000) {
        return Err(Fault::WavRate(rate));
    }
    Ok(Format {
        sample,
        channels: usize::from(channels),
        rate,
    })
}

/// The first chunk of a name. One that claims more than the file has goes to its end: programs that
/// write to a pipe cannot know the length.
fn chunk(mut rest: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    loop {
        let &[n0, n1, n2, n3, l0, l1, l2, l3] = rest.first_chunk()?;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let body = rest.get(8..)?;
        if [n0, n1, n2, n3] == name {
            return Some(body.get(..length).unwrap_or(body));
        }
        rest = body.get(length.checked_next_multiple_of(2)?..)?; // chunks begin at even octets
    }
}
