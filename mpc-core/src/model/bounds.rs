//! How large values can get: intervals from the weights and from what a client can send, whether it keeps to the
//! declared range or not.
//!
//! An interval is kept for every entry of the first dimension of a sample (the channel, or the element of a vector).
//! The weights that go in are the quantised ones and truncation widens by its error, so that what comes out bounds the
//! ring integers themselves and not only the real numbers that they stand for.

use ndarray::ArrayD;

use super::form::Form;
use super::graph::{Bound, Source};

/// Largest error of a truncation, in units of the last place of its result (see the protocol).
const TRUNCATION_ULPS: f64 = 2.0;

/// Room for the rounding of these computations in float64.
const SLACK: f64 = 1.0 + 1e-9;

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Intervals of the real numbers that a value stands for.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    /// One for every entry of the first dimension; one in all for a scalar.
    pub channels: Vec<Interval>,
    pub source: Source,
}

impl Interval {
    pub(crate) fn scale(self, by: f64) -> Self {
        let (a, b) = (self.low * by, self.high * by);
        Self { low: a.min(b), high: a.max(b) }
    }

    pub(crate) fn add(self, other: Self) -> Self {
        Self { low: self.low + other.low, high: self.high + other.high }
    }

    pub(crate) fn mul(self, other: Self) -> Self {
        self.scale(other.low).hull(self.scale(other.high))
    }

    /// The interval of the square of one number, not of the product of two.
    pub(crate) fn square(self) -> Self {
        let product = self.mul(self);
        Self { low: product.low.max(0.0), ..product }
    }

    pub(crate) fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    pub(crate) fn widen(self, by: f64) -> Self {
        Self { low: self.low - by, high: self.high + by }
    }

    /// The interval of a sum of one number from each.
    pub(crate) fn sum(terms: &[Self]) -> Self {
        terms.iter().copied().fold(Self::ZERO, Self::add)
    }

    /// The interval of a sum of products with these numbers.
    pub(crate) fn dot(terms: impl Iterator<Item = (Self, f64)>) -> Self {
        terms.fold(Self::ZERO, |sum, (interval, w)| sum.add(interval.scale(w)))
    }

    pub(crate) const ZERO: Self = Self { low: 0.0, high: 0.0 };
}

impl Range {
    /// Everything within +-`magnitude`.
    pub(crate) fn symmetric(form: &Form, magnitude: f64, source: Source) -> Self {
        let interval = Interval { low: -magnitude, high: magnitude };
        Self { channels: vec![interval; first(&form.shape)], source }
    }

    /// The range of a result of these operands: known no better than the operands are.
    pub(crate) fn of(operands: &[Operand<'_>], channels: Vec<Interval>) -> Self {
        let source = operands.iter().map(|operand| operand.range.source).max().unwrap_or(Source::Proved);
        Self { channels, source }
    }

    /// The range of a weight's elements.
    pub(crate) fn of_weight(weight: &ArrayD<f64>) -> Self {
        let point = |&w: &f64| Interval { low: w, high: w };
        let hull =
            |row: ndarray::ArrayViewD<'_, f64>| row.iter().map(point).reduce(Interval::hull).unwrap_or(Interval::ZERO);
        let channels = match weight.ndim() {
            0 => vec![hull(weight.view())],
            _ => weight.outer_iter().map(hull).collect(),
        };
        Self { channels, source: Source::Proved }
    }

    /// Largest magnitude.
    pub(crate) fn magnitude(&self) -> f64 {
        self.channels.iter().fold(0.0, |m: f64, i| m.max(-i.low).max(i.high))
    }

    /// The bound of the ring integer.
    pub(crate) fn bound(&self, frac_bits: u32) -> Bound {
        let largest = self.magnitude() * f64::from(frac_bits).exp2() * SLACK;
        // |x| <= largest < 2^bits. A range that overflows float64 overflows the ring too.
        let bits = if largest < 1.0 { 0 } else { (largest.log2().floor() as u32).saturating_add(1) };
        Bound { bits, source: self.source }
    }

    /// Narrows the range to +-`magnitude`, as samples suggest.
    pub(crate) fn calibrate(&mut self, magnitude: f64) {
        if magnitude < self.magnitude() {
            self.source = Source::Calibrated;
            for i in &mut self.channels {
                *i = Interval { low: i.low.clamp(-magnitude, magnitude), high: i.high.clamp(-magnitude, magnitude) };
            }
        }
    }

    /// The interval that holds every element.
    pub(crate) fn all(&self) -> Interval {
        self.channels.iter().copied().reduce(Interval::hull).unwrap_or(Interval::ZERO)
    }

    /// `f` of each interval.
    pub(crate) fn each(&self, f: impl Fn(Interval) -> Interval) -> Vec<Interval> {
        self.channels.iter().map(|&i| f(i)).collect()
    }

    /// The intervals of a value of this shape whose elements can be any of this one's.
    pub(crate) fn everywhere(&self, shape: &[usize]) -> Vec<Interval> {
        vec![self.all(); first(shape)]
    }
}

/// An operand of an operation that derives the range of its result.
pub(crate) struct Operand<'a> {
    pub range: &'a Range,
    pub form: &'a Form,
    /// The elements, where it is a weight.
    pub weight: Option<&'a ArrayD<f64>>,
}

impl Operand<'_> {
    /// The intervals of a tensor of another shape that holds the same elements in their order.
    pub(crate) fn reshaped(&self, to: &[usize]) -> Vec<Interval> {
        let (channels, old, new) = (&self.range.channels, first(&self.form.shape), first(to));
        if new >= old && new.is_multiple_of(old) {
            channels.iter().flat_map(|&i| std::iter::repeat_n(i, new / old)).collect()
        } else if old.is_multiple_of(new) {
            let groups = channels.chunks(old / new);
            groups.map(|group| group.iter().copied().reduce(Interval::hull).unwrap_or(Interval::ZERO)).collect()
        } else {
            self.range.everywhere(to)
        }
    }

    /// The intervals of the tensor repeated to a shape.
    pub(crate) fn broadcast(&self, to: &[usize]) -> Vec<Interval> {
        let from = &self.form.shape;
        if from.len() == to.len() && first(from) == first(to) {
            self.range.channels.clone()
        } else {
            self.range.everywhere(to)
        }
    }
}

/// Largest error of a truncation to so many fractional bits.
pub(crate) fn truncation_error(frac_bits: u32) -> f64 {
    TRUNCATION_ULPS * ulp(frac_bits)
}

/// The last place of a number with so many fractional bits.
pub(crate) fn ulp(frac_bits: u32) -> f64 {
    (-f64::from(frac_bits)).exp2()
}

/// How many intervals a value of this shape has.
pub(crate) fn first(shape: &[usize]) -> usize {
    shape.first().copied().unwrap_or(1)
}
