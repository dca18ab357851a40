//! Recordings: any supported file to mono samples at the model's rate, silence cut at both ends.

use std::io::Cursor;

use mpc_core::model::manifest::Audio;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::{Error, Result, caught};

/// Longest recording, in samples of one channel before resampling: 23 minutes at 48 kHz.
const MAX_SAMPLES: usize = 1 << 26;
/// Sampling rates that a file may have, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 1000..=384_000;
/// Samples that the resampler takes at a time.
const RESAMPLER_CHUNK: usize = 1024;
/// Loudness is measured over blocks of 1/40 s.
const BLOCKS_PER_SECOND: u32 = 40;
/// A recording without a block louder than this, in dB below full scale, is silent.
const SILENCE_DB: f64 = 70.0;
const FORMATS: &str = "WAV, FLAC, MP3 or OGG Vorbis";

/// Mono samples in -1..1 at the model's rate, without silence at the ends: at least one frame.
pub(super) fn samples(parameters: &Audio, bytes: Vec<u8>) -> Result<Vec<f32>> {
    let (mono, rate) = caught(|| decode(bytes))?;
    if mono.iter().any(|x| !x.is_finite()) {
        return Err(Error::NotFinite);
    }
    let mono = resample(mono, rate, parameters.rate)?;
    let speech = trim(&mono, parameters)?;
    if speech.len() < parameters.frame {
        let (samples, needed, rate) = (speech.len(), parameters.frame, parameters.rate);
        return Err(Error::TooShort { samples, needed, rate });
    }
    Ok(speech.to_vec())
}

/// The mean of the channels, and the sampling rate.
fn decode(bytes: Vec<u8>) -> Result<(Vec<f32>, u32)> {
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let mut reader = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(unrecognized)?;
    let track = reader.default_track(TrackType::Audio).ok_or(Error::Unrecognized { expected: FORMATS })?;
    let codec = track.codec_params.as_ref().and_then(|p| p.audio());
    let codec = codec.ok_or_else(|| Error::Unsupported("unknown codec".into()))?;
    let (id, declared) = (track.id, track.num_frames);
    let mut decoder =
        symphonia::default::get_codecs().make_audio_decoder(codec, &AudioDecoderOptions::default()).map_err(damaged)?;

    let mut rate = None;
    let mut mono = Vec::new();
    let mut interleaved = Vec::<f32>::new();
    while let Some(packet) = reader.next_packet().map_err(damaged)? {
        if packet.track_id != id {
            continue;
        }
        let buffer = decoder.decode(&packet).map_err(damaged)?;
        let channels = buffer.spec().channels().count().max(1);
        if *rate.get_or_insert(buffer.spec().rate()) != buffer.spec().rate() {
            return Err(Error::Unsupported("a sampling rate that changes".into()));
        }
        buffer.copy_to_vec_interleaved(&mut interleaved);
        mono.extend(interleaved.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
        if mono.len() > MAX_SAMPLES {
            let limit = format!("{MAX_SAMPLES} samples");
            return Err(Error::TooLarge { what: "more samples per channel than can be read".into(), limit });
        }
    }
    if declared.is_some_and(|n| (mono.len() as u64) < n) {
        return Err(Error::Truncated);
    }
    match rate {
        None => Err(Error::Empty),
        Some(rate) if RATES.contains(&rate) => Ok((mono, rate)),
        Some(rate) => Err(Error::Unsupported(format!("a sampling rate of {rate} Hz"))),
    }
}

/// The meaning of the probe's failure: its kinds differ, its words do not.
fn unrecognized(error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::Unsupported(_) | SymphoniaError::IoError(_) => Error::Unrecognized { expected: FORMATS },
        other => damaged(other),
    }
}

fn damaged(error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Error::Truncated,
        SymphoniaError::Unsupported(what) => Error::Unsupported(what.into()),
        other => Error::Damaged(other.to_string()),
    }
}

/// Resamples from one rate to another with an anti-aliasing filter, aligned in time.
fn resample(samples: Vec<f32>, from: u32, to: u32) -> Result<Vec<f32>> {
    if from == to || samples.is_empty() {
        return Ok(samples);
    }
    let fail = |e: &dyn std::fmt::Display| Error::Unsupported(format!("{from} Hz: {e}"));
    let mut resampler =
        Fft::<f32>::new(from as usize, to as usize, RESAMPLER_CHUNK, 1, FixedSync::Input).map_err(|e| fail(&e))?;
    let input = InterleavedSlice::new(&samples, 1, samples.len()).map_err(|e| fail(&e))?;
    Ok(resampler.process_all(&input, samples.len(), None).map_err(|e| fail(&e))?.take_data())
}

/// The part from the first to the last block that is at most `trim_db` quieter than the loudest one.
fn trim<'a>(samples: &'a [f32], parameters: &Audio) -> Result<&'a [f32]> {
    let block = (parameters.rate / BLOCKS_PER_SECOND) as usize;
    let power = |b: &[f32]| b.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / b.len() as f64;
    let powers: Vec<f64> = samples.chunks(block).map(power).collect();
    let loudest = powers.iter().copied().fold(0.0, f64::max);
    if samples.is_empty() {
        return Err(Error::Empty);
    }
    if loudest < 10f64.powf(-SILENCE_DB / 10.0) {
        return Err(Error::Silent { threshold_db: SILENCE_DB });
    }
    let threshold = loudest * 10f64.powf(-f64::from(parameters.trim_db) / 10.0);
    let first = powers.iter().position(|&p| p >= threshold).unwrap_or(0);
    let last = powers.iter().rposition(|&p| p >= threshold).unwrap_or(0);
    Ok(&samples[first * block..((last + 1) * block).min(samples.len())])
}
