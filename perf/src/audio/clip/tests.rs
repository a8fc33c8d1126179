//! Tones against the milliwatt of G.711, WAV against the crate `hound`.

use super::*;
use proptest::prelude::*;
use std::io;

fn mean_square(octets: &[u8], law: Law) -> f64 {
    octets
        .iter()
        .map(|&octet| f64::from(law.decode(octet)).powi(2))
        .sum::<f64>()
        / octets.len() as f64
}

#[test]
fn tones_have_the_level_of_the_milliwatt() {
    // G.711 tables 5 and 6: 1 kHz at 0 dBm0.
    let milliwatts = [
        (Law::A, [0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4]),
        (Law::Mu, [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e]),
    ];
    for (law, milliwatt) in milliwatts {
        for level in [0.0, -20.0] {
            let clip = Clip::tone(1_004, level, law).unwrap();
            let found = mean_square(&clip.octets, law) / mean_square(&milliwatt, law);
            assert!((10.0 * found.log10() - level).abs() < 0.15, "{law:?} {level}: {found}");
            assert_eq!((clip.len(), clip.duration()), (50, Duration::from_secs(1)));
        }
    }
    let error = Clip::tone(4_000, 0.0, Law::A).unwrap_err().to_string();
    assert!(
        error.contains("4000 Hz") && error.contains("expected 1 to 3999"),
        "{error}"
    );
    assert!(Clip::tone(1_000, f64::NAN, Law::A).is_err());
    assert!(Clip::tone(1_004, 3.17, Law::Mu).is_ok());
}

#[test]
fn raw_is_cut_in_frames_and_filled() {
    let clip = Clip::raw(&[1; 161], Law::A).unwrap();
    let packet = clip.packet(1).unwrap();
    assert_eq!(
        (packet.payload[0], packet.payload[1], packet.payload.len()),
        (1, 0xd5, 160)
    );
    assert_eq!((packet.payload_type, packet.marker, packet.increment), (8, false, 160));
    assert_eq!(packet.offset, Duration::from_millis(20));
    assert!(clip.packet(0).unwrap().marker && clip.packet(2).is_none() && clip.packet(usize::MAX).is_none());
    assert!(Clip::raw(&[], Law::A).is_err());
    let error = Clip::raw_file(Path::new("/nowhere/a.ul"), Law::Mu)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("/nowhere/a.ul: cannot be read"), "{error}");
}

fn hound_wav(channels: u16, rate: u32, samples: &[i16]) -> Vec<u8> {
    let mut file = io::Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    file.into_inner()
}

#[test]
fn wav_takes_the_left_channel_and_halves_16_khz() {
    let stereo = hound_wav(2, 8_000, &[1_000, -1, 2_000, -1]);
    let clip = Clip::wav(&stereo, Law::Mu).unwrap();
    assert_eq!(clip.octets[..3], [g711::to_mu_law(1_000), g711::to_mu_law(2_000), 0xff]);
    let wide = hound_wav(1, 16_000, &[32_767, 32_767, -100, 300]);
    let clip = Clip::wav(&wide, Law::A).unwrap();
    assert_eq!(clip.octets[..2], [g711::to_a_law(32_767), g711::to_a_law(100)]);
    let error = Clip::wav(&hound_wav(1, 44_100, &[0]), Law::A).unwrap_err().to_string();
    assert!(error.contains("44100 Hz") && error.contains("8 or 16 kHz"), "{error}");
    assert!(matches!(
        Clip::wav(&hound_wav(1, 8_000, &[]), Law::A).unwrap_err().fault,
        Fault::WavNoData
    ));
    assert!(matches!(Clip::wav(b"RIFF", Law::A).unwrap_err().fault, Fault::NotWav));
}

/// A WAV of one octet a sample, with a chunk of odd length in the way and a length that says nothing.
fn logarithmic_wav(tag: u16, bits: u8, data: &[u8]) -> Vec<u8> {
    let mut wav = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x12\0\0\0".to_vec();
    wav.extend_from_slice(&tag.to_le_bytes());
    wav.extend_from_slice(&[1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, bits, 0, 0, 0]);
    wav.extend_from_slice(b"data\xff\xff\xff\xff");
    wav.extend_from_slice(data);
    wav
}

#[test]
fn wav_of_the_same_law_passes_bit_for_bit() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(
        Clip::wav(&logarithmic_wav(7, 8, &all), Law::Mu).unwrap().octets[..256],
        all
    );
    let clip = Clip::wav(&logarithmic_wav(6, 8, &[0xd5, 0xaa]), Law::Mu).unwrap();
    assert_eq!(clip.octets[..2], [Law::Mu.encode(8), g711::to_mu_law(32_256)]);
    let error = Clip::wav(&logarithmic_wav(1, 8, &all), Law::Mu)
        .unwrap_err()
        .to_string();
    assert!(error.contains("0x0001 with 8 bits"), "{error}");
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(
        mut octets in prop::collection::vec(any::<u8>(), 0..100), at in 0usize..80, value: u8
    ) {
        let _ = Clip::wav(&octets, Law::A);
        let mut file = logarithmic_wav(6, 8, &octets);
        file[at % 50] = value;
        let _ = Clip::wav(&file, Law::A);
        octets.resize(160, 0);
        prop_assert_eq!(&Clip::raw(&octets, Law::A).unwrap().octets[..], &octets[..]);
    }
}
