//! Preprocessing against an independent reference, over formats, and on files that are broken in every way.
//!
//! `data/preprocess/reference.py` writes the reference values; the other files there are half a second of a 440 Hz
//! tone (22,050 Hz, stereo) made with sox and ffmpeg.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use mpc_client::preprocess::{Error, Options, Prepared, Rect, prepare, prepare_bytes};
use mpc_core::model::Manifest;
use proptest::prelude::*;

const RATE: u32 = 16000;

/// A manifest for log-mel (`coefficients = ""`) or MFCC features that are not normalised.
fn audio(rows: usize, frames: usize, coefficients: &str) -> Manifest {
    Manifest::parse(&format!(
        r#"
        format = 1
        name = "test"
        title = "test"
        task = "emotion"
        labels = ["a", "b"]
        reveal = "label"
        security = "passive"
        licence = "open"
        [preprocess]
        kind = "audio"
        rate = {RATE}
        trim_db = 40.0
        frame = 400
        hop = 160
        bands = 26
        low_hz = 80.0
        high_hz = 7000.0
        floor_db = -80.0
        mean = [0.0]
        std = [1.0]
        {coefficients}
        [input]
        shape = [{rows}, {frames}]
        range = 1000.0
        [windows]
        hop = 2
        max = 8
        [bounds]
        policy = "proved"
        "#
    ))
    .expect("a valid manifest")
}

fn image(channels: &str, shape: [usize; 3]) -> Manifest {
    Manifest::parse(&format!(
        r#"
        format = 1
        name = "test"
        title = "test"
        task = "classify"
        labels = ["a", "b"]
        reveal = "label"
        security = "passive"
        licence = "open"
        [preprocess]
        kind = "image"
        channels = "{channels}"
        mean = [0.5]
        std = [0.25]
        [input]
        shape = {shape:?}
        range = 2.0
        [bounds]
        policy = "proved"
        "#
    ))
    .expect("a valid manifest")
}

/// A WAV file: `format` 1 is 16-bit integers, 3 is 32-bit floats.
fn wav(format: u16, rate: u32, channels: u16, samples: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = match format {
        1 => samples.iter().flat_map(|x| ((x * 32767.0) as i16).to_le_bytes()).collect(),
        _ => samples.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    let width = if format == 1 { 2 } else { 4 };
    let mut out = b"RIFF".to_vec();
    out.extend((36 + bytes.len() as u32).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16u32.to_le_bytes());
    out.extend(format.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(channels) * width).to_le_bytes());
    out.extend((channels * width as u16).to_le_bytes());
    out.extend((8 * width as u16).to_le_bytes());
    out.extend(b"data");
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
    out
}

fn tone(rate: u32, channels: u16, hz: f32, seconds: f32) -> Vec<f32> {
    let sample = |i: usize| 0.5 * (std::f32::consts::TAU * hz * (i / channels as usize) as f32 / rate as f32).sin();
    (0..(seconds * rate as f32) as usize * channels as usize).map(sample).collect()
}

fn png(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(pixel(x, y)));
    picture.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).expect("encodes");
    bytes
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/preprocess").join(name)
}

fn run(manifest: &Manifest, bytes: Vec<u8>) -> Result<Prepared, Error> {
    prepare_bytes(manifest, bytes, Options::default())
}

/// The band with the largest mean.
fn loudest_band(prepared: &Prepared) -> usize {
    let bands = prepared.features.shape()[1];
    let mean = |b: usize| prepared.features.slice(ndarray::s![.., b, ..]).mean().expect("has frames");
    (0..bands).max_by(|&a, &b| mean(a).total_cmp(&mean(b))).expect("has bands")
}

#[test]
fn features_agree_with_numpy() {
    let t = |i: usize| i as f64 / f64::from(RATE);
    let wave = |t: f64| {
        0.5 * (std::f64::consts::TAU * 440.0 * t).sin()
            + 0.25 * (std::f64::consts::TAU * (900.0 + 20000.0 * t) * t).sin()
    };
    let samples: Vec<f32> = (0..400 + 3 * 160).map(|i| wave(t(i)) as f32).collect();
    let file = wav(3, RATE, 1, &samples);
    let reference: serde_json::Value = serde_json::from_slice(&std::fs::read(data("reference.json")).unwrap()).unwrap();
    for (name, rows, coefficients) in [("log_mel", 26, ""), ("mfcc", 13, "coefficients = 13")] {
        let got = run(&audio(rows, 4, coefficients), file.clone()).unwrap();
        assert_eq!(got.features.shape(), [1, rows, 4]);
        for r in 0..rows {
            for t in 0..4 {
                let want = reference[name][r][t].as_f64().unwrap();
                let got = f64::from(got.features[[0, r, t]]);
                assert!((got - want).abs() < 1e-4, "{name}[{r}][{t}]: {got} instead of {want}");
            }
        }
    }
}

#[test]
fn a_tone_stays_a_tone_at_any_rate_and_in_any_format() {
    let manifest = audio(26, 40, "");
    let want = run(&manifest, wav(3, RATE, 1, &tone(RATE, 1, 440.0, 0.5))).unwrap();
    let check = |name: &str, got: Prepared| {
        assert_eq!(loudest_band(&got), loudest_band(&want), "{name}");
        let band = loudest_band(&want);
        let (a, b) = (got.features[[0, band, 20]], want.features[[0, band, 20]]);
        assert!((a - b).abs() < 0.5, "{name}: {a} dB instead of {b} dB");
    };
    for rate in [8000, 11025, 16000, 22050, 44100, 48000, 44099, 96000] {
        for channels in [1, 2, 6] {
            let samples = tone(rate, channels, 440.0, 0.5);
            check(
                &format!("{rate} Hz, {channels} channels"),
                run(&manifest, wav(1, rate, channels, &samples)).unwrap(),
            );
        }
    }
    for name in ["tone.flac", "tone.mp3", "tone.ogg"] {
        check(name, prepare(&manifest, &data(name), Options::default()).unwrap());
    }
}

#[test]
fn windows_cover_a_recording_and_silence_is_cut() {
    let manifest = audio(26, 10, "");
    let mut samples = vec![0.0; 8000];
    samples.extend(tone(RATE, 1, 440.0, 0.125));
    samples.extend(vec![0.0; 8000]);
    // 2000 samples in blocks of 400 are 11 frames: one more than a window.
    assert_eq!(run(&manifest, wav(3, RATE, 1, &samples)).unwrap().windows, 2);
    assert_eq!(run(&manifest, wav(3, RATE, 1, &tone(RATE, 1, 440.0, 0.05))).unwrap().windows, 1);
    assert_eq!(run(&manifest, wav(3, RATE, 1, &tone(RATE, 1, 440.0, 3.0))).unwrap().windows, 8);
}

#[test]
fn broken_recordings_are_refused() {
    let manifest = audio(26, 10, "");
    let good = wav(1, RATE, 1, &tone(RATE, 1, 440.0, 0.5));
    let error = |bytes: Vec<u8>| run(&manifest, bytes).unwrap_err();
    assert!(matches!(error(vec![]), Error::Empty));
    assert!(matches!(error(b"not a recording at all, just words\n".repeat(50)), Error::Unrecognized { .. }));
    assert!(matches!(error(good[..good.len() - 1000].to_vec()), Error::Truncated));
    assert!(matches!(error(good[..30].to_vec()), Error::Truncated | Error::Unrecognized { .. } | Error::Damaged(_)));
    assert!(matches!(error(wav(1, RATE, 1, &[])), Error::Empty));
    assert!(matches!(error(wav(1, RATE, 1, &tone(RATE, 1, 440.0, 0.02))), Error::TooShort { .. }));
    assert!(matches!(error(wav(1, RATE, 1, &vec![0.0; 16000])), Error::Silent { .. }));
    for bad in [f32::NAN, f32::INFINITY] {
        let mut samples = tone(RATE, 1, 440.0, 0.5);
        samples[100] = bad;
        assert!(matches!(error(wav(3, RATE, 1, &samples)), Error::NotFinite));
    }
    assert!(matches!(error(wav(1, 100, 1, &tone(100, 1, 10.0, 5.0))), Error::Unsupported(_)));
    for name in ["adpcm.wav", "opus.ogg"] {
        let error = prepare(&manifest, &data(name), Options::default()).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{name}: {error:?}");
    }
    let crop = Some(Rect { left: 0, top: 0, width: 1, height: 1 });
    assert!(matches!(prepare_bytes(&manifest, good, Options { crop }), Err(Error::BoxForAudio)));
    let missing = prepare(&manifest, Path::new("no/such/file.wav"), Options::default());
    assert!(matches!(missing, Err(Error::Io(_))));
    assert!(matches!(
        prepare(&manifest, Path::new(env!("CARGO_MANIFEST_DIR")), Options::default()),
        Err(Error::NotAFile)
    ));
}

#[test]
fn pictures_are_cropped_resized_and_normalised() {
    // Left half black, right half white; the centred square of a wide picture holds both halves.
    let file = png(64, 32, |x, _| if x < 32 { [0; 3] } else { [255; 3] });
    let grey = run(&image("grey", [1, 8, 8]), file.clone()).unwrap();
    assert_eq!((grey.windows, grey.features.shape()), (1, &[1, 1, 8, 8][..]));
    assert_eq!((grey.features[[0, 0, 4, 0]], grey.features[[0, 0, 4, 7]]), (-2.0, 2.0));
    let crop = Some(Rect { left: 32, top: 0, width: 32, height: 32 });
    let right = prepare_bytes(&image("grey", [1, 8, 8]), file.clone(), Options { crop }).unwrap();
    assert!(right.features.iter().all(|&x| x == 2.0));
    let crop = Some(Rect { left: 40, top: 0, width: 32, height: 32 });
    let outside = prepare_bytes(&image("grey", [1, 8, 8]), file, Options { crop });
    assert!(matches!(outside, Err(Error::BoxOutside { width: 64, height: 32 })));

    let rgb = run(&image("rgb", [3, 2, 2]), png(10, 10, |_, _| [255, 0, 128])).unwrap();
    assert_eq!((rgb.features[[0, 0, 0, 0]], rgb.features[[0, 1, 1, 1]]), (2.0, -2.0));
    assert!((rgb.features[[0, 2, 0, 1]] - 0.0078).abs() < 1e-3);
}

#[test]
fn broken_pictures_are_refused() {
    let manifest = image("grey", [1, 8, 8]);
    let good = png(64, 64, |x, y| [x as u8 * 3, y as u8 * 3, (x * y) as u8]);
    let error = |bytes: Vec<u8>| run(&manifest, bytes).unwrap_err();
    assert!(matches!(error(vec![]), Error::Empty));
    assert!(matches!(error(b"words".to_vec()), Error::Unrecognized { .. }));
    assert!(matches!(error(good[..good.len() / 2].to_vec()), Error::Truncated | Error::Damaged(_)));
    // A header that declares 20,000 x 20,000 pixels: refused before any of them is decoded.
    let mut bomb = good;
    bomb[16..20].copy_from_slice(&20_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&20_000u32.to_be_bytes());
    let checksum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
    let refused = error(bomb);
    assert!(matches!(refused, Error::TooLarge { .. }), "{refused:?}");
}

/// The checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    })
}

/// Files that are damaged at random: of `data/preprocess`, made here, or noise.
const FUZZED: &[&str] = &["tone.flac", "tone.mp3", "tone.ogg", "opus.ogg", "adpcm.wav", "wav", "png", "noise"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the bytes are, the result is an error or finite values within the range.
    #[test]
    fn no_bytes_cause_a_panic(
        file in prop::sample::select(FUZZED),
        keep in 0.0f64..=1.0,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
        noise in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        let mut bytes = match file {
            "noise" => noise,
            "wav" => wav(1, RATE, 1, &tone(RATE, 1, 440.0, 0.1)),
            "png" => png(16, 16, |x, y| [x as u8, y as u8, 0]),
            name => std::fs::read(data(name)).expect("is committed"),
        };
        bytes.truncate((bytes.len() as f64 * keep) as usize);
        for (index, value) in flips {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
        }
        for manifest in [audio(26, 10, ""), image("rgb", [3, 8, 8])] {
            if let Ok(prepared) = run(&manifest, bytes.clone()) {
                prop_assert!(prepared.features.iter().all(|x| x.is_finite() && x.abs() <= manifest.input.range));
            }
        }
    }
}
