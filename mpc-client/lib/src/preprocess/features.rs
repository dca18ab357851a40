//! Spectral features: power spectra of Hann windows, Slaney's mel filterbank, decibels, and their cosine transform.
//!
//! Agrees with librosa's `melspectrogram(center=False, norm="slaney", htk=False)` in decibels relative to a power of
//! 1, and with its `mfcc` (orthonormal DCT-II).

use std::f64::consts::PI;
use std::sync::Arc;

use mpc_core::model::manifest::Audio;
use ndarray::{Array1, Array2};
use realfft::{RealFftPlanner, RealToComplex};

/// Values computed once for all frames.
pub(super) struct Features<'a> {
    parameters: &'a Audio,
    fft: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    /// `[rows, bands]` for MFCC.
    cosines: Option<Array2<f64>>,
    /// `[bands, frame / 2 + 1]`.
    filters: Array2<f64>,
}

impl<'a> Features<'a> {
    pub(super) fn new(parameters: &'a Audio) -> Self {
        let n = parameters.frame;
        Self {
            parameters,
            fft: RealFftPlanner::new().plan_fft_forward(n),
            window: (0..n).map(|i| 0.5 - 0.5 * (2.0 * PI * i as f64 / n as f64).cos()).collect(),
            cosines: parameters.coefficients.map(|rows| cosines(rows, parameters.bands)),
            filters: mel_filters(parameters),
        }
    }

    /// `[rows, frames]`, normalised by the manifest's constants. Digital silence is appended if there are fewer than
    /// `at_least` frames.
    pub(super) fn compute(&self, mut samples: Vec<f32>, at_least: usize) -> Array2<f32> {
        let Audio { frame, hop, .. } = *self.parameters;
        samples.resize(samples.len().max((at_least.max(1) - 1) * hop + frame), 0.0);
        let frames = 1 + (samples.len() - frame) / hop;
        let mut out = Array2::zeros((self.parameters.rows(), frames));
        let mut input = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        for (t, mut column) in out.columns_mut().into_iter().enumerate() {
            let start = t * hop;
            for ((x, &sample), &w) in input.iter_mut().zip(&samples[start..start + frame]).zip(&self.window) {
                *x = f64::from(sample) * w;
            }
            self.fft.process(&mut input, &mut spectrum).expect("buffers are the planner's own");
            let power: Array1<f64> = spectrum.iter().map(|c| c.norm_sqr()).collect();
            for (r, (x, value)) in column.iter_mut().zip(self.row_values(&power)).enumerate() {
                *x = ((value - at(&self.parameters.mean, r)) / at(&self.parameters.std, r)) as f32;
            }
        }
        out
    }

    /// Decibels per band, or cepstral coefficients, of one power spectrum.
    fn row_values(&self, power: &Array1<f64>) -> Array1<f64> {
        let floor = 10f64.powf(f64::from(self.parameters.floor_db) / 10.0);
        let decibels = self.filters.dot(power).mapv(|p| 10.0 * p.max(floor).log10());
        match &self.cosines {
            Some(cosines) => cosines.dot(&decibels),
            None => decibels,
        }
    }
}

/// The constant of row `r`: the only one, or its own.
fn at(constants: &[f32], r: usize) -> f64 {
    f64::from(if constants.len() == 1 { constants[0] } else { constants[r] })
}

/// Triangles of equal area whose corners are equally spaced on Slaney's mel scale (linear up to 1 kHz, logarithmic
/// above).
fn mel_filters(parameters: &Audio) -> Array2<f64> {
    let (low, high) = (hz_to_mel(f64::from(parameters.low_hz)), hz_to_mel(f64::from(parameters.high_hz)));
    let corner = |i: usize| mel_to_hz(low + (high - low) * i as f64 / (parameters.bands + 1) as f64);
    let bin_hz = f64::from(parameters.rate) / parameters.frame as f64;
    Array2::from_shape_fn((parameters.bands, parameters.frame / 2 + 1), |(band, bin)| {
        let (left, centre, right) = (corner(band), corner(band + 1), corner(band + 2));
        let hz = bin as f64 * bin_hz;
        let height = ((hz - left) / (centre - left)).min((right - hz) / (right - centre));
        height.max(0.0) * 2.0 / (right - left)
    })
}

/// Hz per mel below 1 kHz, mel at 1 kHz, mel per factor e above.
const LINEAR_HZ: f64 = 200.0 / 3.0;
const BREAK_MEL: f64 = 15.0;
const LOG_STEP: f64 = 14.545_078_505_785_56; // 27 / ln(6.4)

fn hz_to_mel(hz: f64) -> f64 {
    if hz < 1000.0 { hz / LINEAR_HZ } else { BREAK_MEL + (hz / 1000.0).ln() * LOG_STEP }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < BREAK_MEL { mel * LINEAR_HZ } else { 1000.0 * ((mel - BREAK_MEL) / LOG_STEP).exp() }
}

/// The first rows of the orthonormal DCT-II.
fn cosines(rows: usize, bands: usize) -> Array2<f64> {
    let n = bands as f64;
    Array2::from_shape_fn((rows, bands), |(k, i)| {
        let scale = if k == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        scale * (PI * k as f64 * (i as f64 + 0.5) / n).cos()
    })
}
