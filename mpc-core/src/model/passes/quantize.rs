//! From real numbers to fixed point: fractional bits, truncations and bounds.
//!
//! A product adds fractional bits up. They are dropped as late as possible: inside the next ReLU, whose comparison does
//! not wait for the truncation, and behind pooling, where there are fewer elements.

use std::collections::HashMap;

use ndarray::ArrayD;

use crate::error::{Error, Result};
use crate::model::Declared;
use crate::model::bounds::{self, Operand, Range};
use crate::model::function::Function;
use crate::model::graph::{Facts, Graph, MAX_BITS, MAX_BITS_TRUNCATED, Node, Op, Source, ValueId, WeightSpec};
use crate::model::manifest::Bounds;
use crate::model::network::{Layer, Network};
use crate::model::shape::{self, Form};
use crate::protocol::power::{Exponent, Octaves};
use crate::protocol::{exponential, piecewise};
use crate::ring::fixed;
use crate::sharing::InputRange;

/// Fractional bits of weights that are factors.
const WEIGHT_FRAC_BITS: u32 = fixed::FRAC_BITS;

/// A factor may have this many more fractional bits than activations have: an average over a power of two elements
/// needs no truncation of its own.
const FACTOR_SLACK: u32 = 8;

/// Most fractional bits of what a power is taken of.
const MAX_FUNCTION_BITS: u32 = 24;

/// Significant bits of a public factor that is no power of two.
const FACTOR_BITS: i32 = 16;

/// The fixed-point graph of `network`. `peaks` are the largest magnitudes of its layers on samples, if there are any.
pub(in crate::model) fn quantize(
    network: &Network,
    declared: &Declared<'_>,
    peaks: Option<&[f64]>,
) -> Result<(Graph, Vec<ArrayD<f64>>)> {
    let margins = match (&declared.bounds, peaks) {
        (Bounds::Calibrated { comparison_margin, ring_margin }, Some(_)) => Some((*comparison_margin, *ring_margin)),
        _ => None,
    };
    let mut quantizer = Quantizer {
        network,
        frac_bits: declared.frac_bits,
        margins,
        nodes: Vec::new(),
        ranges: Vec::new(),
        rounded: Vec::new(),
        sources: Vec::new(),
        specs: Vec::new(),
        placed: HashMap::new(),
        lowered: HashMap::new(),
    };
    let mut values: Vec<Option<ValueId>> = Vec::with_capacity(network.layers.len());
    for (id, layer) in network.layers.iter().enumerate() {
        let value = match &layer.op {
            Op::Input => Some(quantizer.input(layer, declared.range)?),
            Op::Weight(_) => None,
            _ => Some(quantizer.layer(layer, &values)?),
        };
        if let (Some(value @ 1..), Some(peaks)) = (value, peaks) {
            quantizer.calibrate(value, peaks[id])?;
        }
        values.push(value);
    }
    let mut output = values[network.output].ok_or_else(|| Error::model("output", "Weight", "is not computed"))?;
    if let Some(max) = declared.max_windows {
        output = quantizer.emit("windows", Op::SumWindows { max }, &[output])?;
    }
    let graph = Graph { nodes: quantizer.nodes, weights: quantizer.specs, output };
    graph.validate()?;
    let weights = quantizer.sources.iter().map(|&layer| network.constant(layer).expect("a weight").clone()).collect();
    Ok((graph, weights))
}

struct Quantizer<'a> {
    network: &'a Network,
    frac_bits: u32,
    /// Of calibrated bounds: for comparisons and for the ring.
    margins: Option<(u32, u32)>,
    nodes: Vec<Node>,
    ranges: Vec<Range>,
    /// The weights as they are encoded: bounds must hold for these.
    rounded: Vec<ArrayD<f64>>,
    /// The layers that they come from.
    sources: Vec<usize>,
    specs: Vec<WeightSpec>,
    /// Weight layers and fractional bits that have a node already.
    placed: HashMap<(usize, u32), ValueId>,
    /// Values and how many fractional bits were dropped of them.
    lowered: HashMap<(ValueId, u32), ValueId>,
}

impl Quantizer<'_> {
    fn input(&mut self, layer: &Layer, range: f64) -> Result<ValueId> {
        let form = Form { frac_bits: self.frac_bits, ..layer.form.clone() };
        // What a client can send that does not keep to the range counts too.
        let reach = InputRange::holding(range, self.frac_bits).reach() / f64::from(self.frac_bits).exp2();
        let range = Range::symmetric(&form, reach, Source::Proved);
        self.place(&layer.name, Op::Input, &[], form, range)
    }

    /// Places a layer and whatever it needs before it.
    fn layer(&mut self, layer: &Layer, values: &[Option<ValueId>]) -> Result<ValueId> {
        let name = &layer.name;
        let inputs = &layer.inputs;
        let first = |quantizer: &mut Self| quantizer.operand(inputs[0], values, WEIGHT_FRAC_BITS);
        match &layer.op {
            op @ (Op::Conv(_) | Op::MatMul | Op::Mul) => {
                let x = first(self)?;
                let y = self.operand(inputs[1], values, WEIGHT_FRAC_BITS)?;
                self.product(name, op, &[x, y])
            }
            op @ (Op::Add | Op::Sub) => {
                let operands = self.aligned(name, inputs, values)?;
                self.emit(name, op.clone(), &operands)
            }
            Op::Concat { axis } => {
                let operands = self.aligned(name, inputs, values)?;
                self.emit(name, Op::Concat { axis: *axis }, &operands)
            }
            Op::Scale { factor, .. } => {
                let x = first(self)?;
                self.product(name, &Op::Scale { factor: *factor, frac_bits: factor_frac_bits(*factor) }, &[x])
            }
            Op::Relu { ceiling, .. } => {
                let x = first(self)?;
                let rescale = self.frac_bits(x).saturating_sub(self.frac_bits);
                self.emit(name, Op::Relu { rescale, ceiling: *ceiling }, &[x])
            }
            Op::Function { function, .. } => {
                let x = first(self)?;
                self.function(name, *function, x)
            }
            op => {
                let x = first(self)?;
                self.emit(name, op.clone(), &[x])
            }
        }
    }

    /// A function, with as many fractional bits in its operand as it takes, and no more of its domain than x can be in.
    fn function(&mut self, name: &str, function: Function, x: ValueId) -> Result<ValueId> {
        let refuse = |reason: String| Err(Error::model(name, function.name(), reason));
        let range = self.ranges[x].all();
        let facts = &self.nodes[x].facts;
        let (x, function) = match function {
            Function::Power { exponent, low } => {
                let least = f64::from(low).exp2();
                if exponent == Exponent::Reciprocal && range.low < -least {
                    return refuse(format!(
                        "divides by what may be as low as {:.3}, as far as is known; only numbers from 2^{low} on can be \
                         divided by: clip before",
                        range.low
                    ));
                }
                // A bit more than needed, because the truncation rounds.
                let excess = match facts.bound.bits {
                    bits if bits > Octaves::MAX_HIGH => bits + 1 - Octaves::MAX_HIGH,
                    _ => 0,
                };
                let kept = facts.frac_bits.saturating_sub(excess).min(MAX_FUNCTION_BITS);
                let x = self.lowered(name, x, kept)?;
                let proved = if range.low > least { range.low.log2().floor() as i32 } else { low };
                (x, Function::Power { exponent, low: proved.max(-(self.frac_bits(x) as i32)) })
            }
            Function::Exp { high } => {
                // What is public is rounded up.
                let high = high.min(range.high.max(0.0).ceil());
                if high > exponential::MAX_HIGH {
                    return refuse(format!(
                        "is computed up to {}, but its argument may be {high}: clip before, or calibrate with samples",
                        exponential::MAX_HIGH
                    ));
                }
                (self.lowered(name, x, self.frac_bits.min(piecewise::ARGUMENT_BITS))?, Function::Exp { high })
            }
            _ => (self.lowered(name, x, self.frac_bits.min(piecewise::ARGUMENT_BITS))?, function),
        };
        self.emit(name, Op::Function { function, frac_bits: self.frac_bits }, &[x])
    }

    /// A product, with fewer fractional bits in its operands where the ring is too small otherwise.
    fn product(&mut self, name: &str, op: &Op, operands: &[ValueId]) -> Result<ValueId> {
        let at_most = |quantizer: &mut Self, operands: &[ValueId], frac_bits: u32| {
            operands.iter().map(|&x| quantizer.at_most(name, x, frac_bits)).collect::<Result<Vec<_>>>()
        };
        let roomy = at_most(self, operands, self.frac_bits + FACTOR_SLACK)?;
        self.emit(name, op.clone(), &roomy).or_else(|_| {
            let tight = at_most(self, &roomy, self.frac_bits)?;
            self.emit(name, op.clone(), &tight)
        })
    }

    /// The operands with the same fractional bits: the most that one of them has, else those of activations.
    fn aligned(&mut self, name: &str, inputs: &[usize], values: &[Option<ValueId>]) -> Result<Vec<ValueId>> {
        let facts = || inputs.iter().filter_map(|&input| values[input]).map(|x| &self.nodes[x].facts);
        let most = facts().map(|facts| facts.frac_bits).max().unwrap_or(self.frac_bits);
        let room = facts().all(|facts| facts.bound.bits + (most - facts.frac_bits) < MAX_BITS);
        let frac_bits = if room { most } else { self.frac_bits };
        let align = |&input: &usize| {
            let x = self.operand(input, values, frac_bits)?;
            match self.frac_bits(x) {
                given if given < frac_bits => {
                    let raise = Op::Scale { factor: 1.0, frac_bits: frac_bits - given };
                    self.emit(&format!("{name}.align"), raise, &[x])
                }
                _ => self.at_most(name, x, frac_bits),
            }
        };
        inputs.iter().map(align).collect()
    }

    /// The node of an operand; a weight gets one with these fractional bits.
    fn operand(&mut self, input: usize, values: &[Option<ValueId>], frac_bits: u32) -> Result<ValueId> {
        if let Some(value) = values[input] {
            return Ok(value);
        }
        if let Some(&value) = self.placed.get(&(input, frac_bits)) {
            return Ok(value);
        }
        let layer = &self.network.layers[input];
        let weight = self.network.constant(input).expect("what has no value is a weight");
        let unit = f64::from(frac_bits).exp2();
        let rounded = weight.mapv(|w| (w * unit).round() / unit);
        self.specs.push(WeightSpec { name: layer.name.clone(), shape: weight.shape().to_vec(), frac_bits });
        self.sources.push(input);
        self.rounded.push(rounded);
        let index = self.rounded.len() - 1;
        let form = Form { frac_bits, ..layer.form.clone() };
        let range = Range::of_weight(&self.rounded[index]);
        let value = self.place(&layer.name, Op::Weight(index), &[], form, range)?;
        self.placed.insert((input, frac_bits), value);
        Ok(value)
    }

    /// The value, brought to the fractional bits of activations if it has more than `frac_bits`.
    fn at_most(&mut self, name: &str, x: ValueId, frac_bits: u32) -> Result<ValueId> {
        let facts = &self.nodes[x].facts;
        if !facts.batched || facts.frac_bits <= frac_bits {
            return Ok(x);
        }
        self.lowered(name, x, self.frac_bits)
    }

    /// The value with no more than `frac_bits` fractional bits, truncated once however often it is used.
    fn lowered(&mut self, name: &str, x: ValueId, frac_bits: u32) -> Result<ValueId> {
        let bits = self.frac_bits(x).saturating_sub(frac_bits);
        if bits == 0 {
            return Ok(x);
        }
        if let Some(&lowered) = self.lowered.get(&(x, bits)) {
            return Ok(lowered);
        }
        let lowered = self.emit(&format!("{name}.rescale"), Op::Rescale { bits }, &[x])?;
        self.lowered.insert((x, bits), lowered);
        Ok(lowered)
    }

    /// Appends a node after deriving its form and range.
    fn emit(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let forms: Vec<Form> = inputs.iter().map(|&input| self.nodes[input].facts.form()).collect();
        let form = shape::infer(&op, &forms).map_err(|reason| Error::model(name, op.name(), reason))?;
        let operand = |(&input, form): (&ValueId, _)| {
            let weight = match self.nodes[input].op {
                Op::Weight(index) => Some(&self.rounded[index]),
                _ => None,
            };
            Operand { range: &self.ranges[input], form, weight }
        };
        let operands: Vec<Operand<'_>> = inputs.iter().zip(&forms).map(operand).collect();
        let range = bounds::infer(&op, &operands, &form);
        if matches!(op, Op::Rescale { .. } | Op::Relu { rescale: 1.., .. }) {
            fits(name, op.name(), self.nodes[inputs[0]].facts.bound.bits, MAX_BITS_TRUNCATED)?;
        }
        self.place(name, op, inputs, form, range)
    }

    fn place(&mut self, name: &str, op: Op, inputs: &[ValueId], form: Form, range: Range) -> Result<ValueId> {
        let mut bound = range.bound(form.frac_bits);
        fits(name, op.name(), bound.bits, MAX_BITS)?;
        if let Op::Weight(_) = op {
            // Nobody needs to know how large a weight is.
            bound.bits = MAX_BITS;
        }
        let facts = Facts { shape: form.shape, batched: form.batched, frac_bits: form.frac_bits, bound };
        self.nodes.push(Node { name: name.to_owned(), op, inputs: inputs.to_vec(), facts });
        self.ranges.push(range);
        Ok(self.nodes.len() - 1)
    }

    /// Narrows the bound of a value to what samples show, times the margin.
    fn calibrate(&mut self, value: ValueId, peak: f64) -> Result<()> {
        let Some((comparison_margin, ring_margin)) = self.margins else { return Ok(()) };
        let node = &mut self.nodes[value];
        // A peak of zero says nothing: one unit of the last place is the least that is taken for granted.
        let peak = peak.max((-f64::from(node.facts.frac_bits)).exp2());
        self.ranges[value].calibrate(peak * f64::from(comparison_margin).exp2());
        node.facts.bound = self.ranges[value].bound(node.facts.frac_bits);
        if node.facts.bound.source == Source::Calibrated {
            let spare = ring_margin.saturating_sub(comparison_margin);
            fits(&node.name, node.op.name(), node.facts.bound.bits + spare, MAX_BITS_TRUNCATED)?;
        }
        Ok(())
    }

    fn frac_bits(&self, value: ValueId) -> u32 {
        self.nodes[value].facts.frac_bits
    }
}

/// Refuses a value that needs more bits than it may have.
fn fits(name: &str, op: &str, bits: u32, limit: u32) -> Result<()> {
    if bits <= limit {
        return Ok(());
    }
    let reason = format!(
        "cannot be bounded: it may need {bits} bits, {} more than the ring carries; declare a smaller input range, clip \
         in the network, or calibrate with samples",
        bits - limit
    );
    Err(Error::model(name, op, reason))
}

/// Enough fractional bits for a public factor to keep its significant bits; as few as possible for a power of two.
fn factor_frac_bits(factor: f64) -> u32 {
    if factor == 0.0 {
        return 0;
    }
    let exponent = factor.abs().log2();
    let significant = if exponent.fract() == 0.0 { 0 } else { FACTOR_BITS - 1 };
    significant.saturating_sub(exponent.floor() as i32).clamp(0, MAX_BITS as i32) as u32
}
