//! How large values can get: intervals from the weights and from what a client can send, whether it keeps to the declared range or not.
//!
//! An interval is kept for every entry of the first dimension of a sample (the channel, or the element of a vector).
//! The weights that go in are the quantised ones and truncation widens by its error, so that what comes out bounds the
//! ring integers themselves and not only the real numbers that they stand for.

use ndarray::{ArrayD, Axis};

use super::graph::{Bound, Op, Source};
use super::shape::Form;

/// Largest error of a truncation, in units of the last place of its result (see the protocol).
const TRUNCATION_ULPS: f64 = 2.0;

/// Room for the rounding of these computations in float64.
const SLACK: f64 = 1.0 + 1e-9;

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Intervals of the real numbers that a value stands for.
#[derive(Debug, Clone)]
pub(super) struct Range {
    /// One for every entry of the first dimension; one in all for a scalar.
    pub channels: Vec<Interval>,
    pub source: Source,
}

impl Interval {
    fn scale(self, by: f64) -> Self {
        let (a, b) = (self.low * by, self.high * by);
        Self { low: a.min(b), high: a.max(b) }
    }

    fn add(self, other: Self) -> Self {
        Self { low: self.low + other.low, high: self.high + other.high }
    }

    fn mul(self, other: Self) -> Self {
        self.scale(other.low).hull(self.scale(other.high))
    }

    /// Of the square of one number, not of the product of two.
    fn square(self) -> Self {
        let product = self.mul(self);
        Self { low: product.low.max(0.0), ..product }
    }

    fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    fn widen(self, by: f64) -> Self {
        Self { low: self.low - by, high: self.high + by }
    }

    const ZERO: Self = Self { low: 0.0, high: 0.0 };
}

impl Range {
    /// Everything within +-`magnitude`.
    pub(super) fn symmetric(form: &Form, magnitude: f64, source: Source) -> Self {
        let interval = Interval { low: -magnitude, high: magnitude };
        Self { channels: vec![interval; first(&form.shape)], source }
    }

    /// What a weight holds.
    pub(super) fn of_weight(weight: &ArrayD<f64>) -> Self {
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
    pub(super) fn magnitude(&self) -> f64 {
        self.channels.iter().fold(0.0, |m: f64, i| m.max(-i.low).max(i.high))
    }

    /// The bound of the ring integer.
    pub(super) fn bound(&self, frac_bits: u32) -> Bound {
        let largest = self.magnitude() * f64::from(frac_bits).exp2() * SLACK;
        // |x| <= largest < 2^bits. A range that overflows float64 overflows the ring too.
        let bits = if largest < 1.0 { 0 } else { (largest.log2().floor() as u32).saturating_add(1) };
        Bound { bits, source: self.source }
    }

    /// Also within +-`magnitude`, for all that samples show.
    pub(super) fn calibrate(&mut self, magnitude: f64) {
        if magnitude < self.magnitude() {
            self.source = Source::Calibrated;
            for i in &mut self.channels {
                *i = Interval { low: i.low.clamp(-magnitude, magnitude), high: i.high.clamp(-magnitude, magnitude) };
            }
        }
    }

    /// Everything that an element can be.
    pub(super) fn all(&self) -> Interval {
        self.channels.iter().copied().reduce(Interval::hull).unwrap_or(Interval::ZERO)
    }

    /// The same for a tensor of another shape that holds the same elements, or repeats them.
    fn reshaped(&self, from: &[usize], to: &[usize], order_kept: bool) -> Vec<Interval> {
        let (old, new) = (first(from), first(to));
        match order_kept {
            true if new >= old && new.is_multiple_of(old) => {
                self.channels.iter().flat_map(|&i| std::iter::repeat_n(i, new / old)).collect()
            }
            true if old.is_multiple_of(new) => {
                let groups = self.channels.chunks(old / new);
                groups.map(|group| group.iter().copied().reduce(Interval::hull).unwrap_or(Interval::ZERO)).collect()
            }
            _ => vec![self.all(); new],
        }
    }

    fn broadcast(&self, from: &[usize], to: &[usize]) -> Vec<Interval> {
        if from.len() == to.len() && first(from) == first(to) {
            self.channels.clone()
        } else {
            vec![self.all(); first(to)]
        }
    }
}

/// An operand as the transfer functions see it.
pub(super) struct Operand<'a> {
    pub range: &'a Range,
    pub form: &'a Form,
    /// The elements, where it is a weight.
    pub weight: Option<&'a ArrayD<f64>>,
}

/// The range of the result of `op`, whose form is `form`.
pub(super) fn infer(op: &Op, operands: &[Operand<'_>], form: &Form) -> Range {
    let x = &operands[0];
    let source = operands.iter().map(|operand| operand.range.source).max().unwrap_or(Source::Proved);
    let each = |f: &dyn Fn(Interval) -> Interval| x.range.channels.iter().map(|&i| f(i)).collect::<Vec<_>>();
    let ulp = |frac_bits: u32| (-f64::from(frac_bits)).exp2();
    let channels = match op {
        Op::Conv(g) => {
            let padded = g.pad_begin.iter().chain(&g.pad_end).any(|&p| p > 0);
            let taps = g.kernel[0] * g.kernel[1];
            let (per_in, per_out) = (g.in_channels / g.groups, g.out_channels / g.groups);
            let input = each(&|i| if padded { i.hull(Interval::ZERO) } else { i });
            let filters = operands[1].weight.expect("a weight").outer_iter();
            let channel = |(o, filter): (usize, ndarray::ArrayViewD<'_, f64>)| {
                let inputs = &input[o / per_out * per_in..][..per_in];
                dot(filter.iter().enumerate().map(|(i, &w)| (inputs[i / taps], w)))
            };
            filters.enumerate().map(channel).collect()
        }
        Op::MatMul => matmul(x, operands[1].weight.expect("a weight")),
        Op::Mul if std::ptr::eq(x.range, operands[1].range) => each(&Interval::square),
        Op::Add | Op::Sub | Op::Mul => {
            let [x, y] = [0, 1].map(|i| operands[i].range.broadcast(&operands[i].form.shape, &form.shape));
            let combine = |(x, y): (Interval, Interval)| match op {
                Op::Add => x.add(y),
                Op::Sub => x.add(y.scale(-1.0)),
                _ => x.mul(y),
            };
            x.into_iter().zip(y).map(combine).collect()
        }
        Op::Scale { factor, frac_bits } => {
            let unit = f64::from(*frac_bits).exp2();
            each(&|i| i.scale((factor * unit).round() / unit))
        }
        Op::Offset { constant } => {
            each(&|i| i.add(Interval { low: *constant, high: *constant }).widen(ulp(form.frac_bits)))
        }
        Op::Rescale { .. } => each(&|i| i.widen(TRUNCATION_ULPS * ulp(form.frac_bits))),
        Op::Relu { rescale, ceiling } => {
            let error = if *rescale > 0 { TRUNCATION_ULPS * ulp(form.frac_bits) } else { 0.0 };
            let top = ceiling.unwrap_or(f64::INFINITY);
            let clipped = ceiling.is_some() && (x.range.magnitude() > top || source == Source::Calibrated);
            // A truncation may round a little above zero down to below it: the result is not clipped a second time.
            let channels = each(&|i| {
                let i = i.widen(error);
                Interval { low: i.low.max(-error).min(0.0), high: i.high.max(0.0).min(top + error) }
            });
            return Range { channels, source: if clipped { Source::Clamped } else { source } };
        }
        Op::Function { function, frac_bits } => each(&|i| {
            let [low, high] = function.range([i.low, i.high], ulp(*frac_bits));
            Interval { low, high }
        }),
        Op::MaxPool(_) => x.range.channels.clone(),
        Op::SumPool(g) => {
            let padded = g.pad_begin.iter().chain(&g.pad_end).any(|&p| p > 0);
            let sum = |i: Interval| i.scale(g.window() as f64);
            each(&|i| if padded { sum(i).hull(Interval::ZERO) } else { sum(i) })
        }
        Op::ReduceSum { axes } => {
            let others = axes.iter().filter(|&&axis| axis != 0).map(|&axis| x.form.shape[axis]).product::<usize>();
            if axes.first() == Some(&0) {
                let sum = x.range.channels.iter().copied().fold(Interval::ZERO, Interval::add);
                vec![sum.scale(others as f64); first(&form.shape)]
            } else {
                each(&|i| i.scale(others as f64))
            }
        }
        Op::Reshape { .. } => x.range.reshaped(&x.form.shape, &form.shape, true),
        Op::Transpose { perm } if perm.first() == Some(&0) => x.range.channels.clone(),
        Op::Transpose { .. } => x.range.reshaped(&x.form.shape, &form.shape, false),
        Op::Pad { begin, end } => {
            let inner = begin[1..].iter().chain(&end[1..]).any(|&p| p > 0);
            let zeros = |n: usize| std::iter::repeat_n(Interval::ZERO, n);
            let middle = each(&|i| if inner { i.hull(Interval::ZERO) } else { i });
            zeros(begin[0]).chain(middle).chain(zeros(end[0])).collect()
        }
        Op::Concat { axis: 0 } => operands.iter().flat_map(|operand| operand.range.channels.clone()).collect(),
        Op::Concat { .. } => {
            let hull = |c: usize| operands.iter().map(|operand| operand.range.channels[c]).reduce(Interval::hull);
            (0..first(&form.shape)).map(|c| hull(c).unwrap_or(Interval::ZERO)).collect()
        }
        Op::SumWindows { max } => each(&|i| i.hull(i.scale(f64::from(*max)))),
        Op::Input | Op::Weight(_) => unreachable!("declared, not derived"),
    };
    Range { channels, source }
}

fn matmul(x: &Operand<'_>, w: &ArrayD<f64>) -> Vec<Interval> {
    let columns = w.axis_iter(Axis(1));
    if x.form.shape.len() == 1 {
        let inputs = &x.range.channels;
        return columns.map(|column| dot(inputs.iter().copied().zip(column.iter().copied()))).collect();
    }
    // All elements of a row share an interval, so that only the sums of positive and negative weights count.
    let sums = |column: ndarray::ArrayViewD<'_, f64>| {
        column.iter().fold((0.0, 0.0), |(positive, negative), &w| (positive + w.max(0.0), negative + w.min(0.0)))
    };
    let sums: Vec<(f64, f64)> = columns.map(sums).collect();
    let row = |i: &Interval| {
        let outputs = sums.iter().map(|&(positive, negative)| i.scale(positive).add(i.scale(negative)));
        outputs.reduce(Interval::hull).unwrap_or(Interval::ZERO)
    };
    x.range.channels.iter().map(row).collect()
}

fn dot(terms: impl Iterator<Item = (Interval, f64)>) -> Interval {
    terms.fold(Interval::ZERO, |sum, (interval, w)| sum.add(interval.scale(w)))
}

fn first(shape: &[usize]) -> usize {
    shape.first().copied().unwrap_or(1)
}
