//! From real numbers to fixed point: fractional bits, truncations and bounds.
//!
//! A product adds fractional bits up. They are dropped as late as possible: inside the next ReLU, whose comparison does
//! not wait for the truncation, and after pooling, where there are fewer elements.

use std::collections::HashMap;

use ndarray::ArrayD;

use crate::error::{Error, Result};
use crate::model::Declared;
use crate::model::bounds::{Operand, Range};
use crate::model::float_graph::{FloatGraph, FloatNode};
use crate::model::form::Form;
use crate::model::graph::{Facts, Graph, MAX_BITS, MAX_BITS_TRUNCATED, Node, Source, ValueId, WeightSpec};
use crate::model::manifest::Bounds;
use crate::model::op::{FixedScale, FloatOp, Op, Rescale, Scale, SumWindows};
use crate::ring::fixed;
use crate::sharing::InputRange;

/// Fractional bits of weights that are factors.
const WEIGHT_FRAC_BITS: u32 = fixed::FRAC_BITS;

/// A factor may have this many more fractional bits than activations have: an average over a power of two elements
/// needs no truncation of its own.
const FACTOR_SLACK: u32 = 8;

/// The fixed-point graph of `network`. `peaks` are the largest magnitudes of its layers on samples, if there are any.
pub(in crate::model) fn quantize(
    network: &FloatGraph,
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
        values: Vec::with_capacity(network.nodes.len()),
        lowered: HashMap::new(),
    };
    for (id, node) in network.nodes.iter().enumerate() {
        let value = match (&node.op, node.op.operation()) {
            (_, Some(operation)) => Some(operation.quantize(&mut quantizer, &node.name, &node.inputs)?),
            (FloatOp::Input, None) => Some(quantizer.input(node, declared.range)?),
            (_, None) => None,
        };
        if let (Some(value), Some(peaks), Some(_)) = (value, peaks, node.op.operation()) {
            quantizer.calibrate(value, peaks[id])?;
        }
        quantizer.values.push(value);
    }
    let mut outputs = Vec::with_capacity(network.outputs.len());
    for &output in &network.outputs {
        let value = quantizer.values[output].ok_or_else(|| Error::model("output", "Weight", "is not computed"))?;
        outputs.push(match declared.max_windows {
            Some(max) => quantizer.emit("windows", Op::SumWindows(SumWindows { max }), &[value])?,
            None => value,
        });
    }
    let graph = Graph { nodes: quantizer.nodes, weights: quantizer.specs, outputs };
    graph.validate()?;
    let weights = quantizer.sources.iter().map(|&node| network.constant(node).expect("a weight").clone()).collect();
    Ok((graph, weights))
}

/// A ring graph under construction; operations place themselves in it.
pub(crate) struct Quantizer<'a> {
    network: &'a FloatGraph,
    /// Fractional bits of activations.
    frac_bits: u32,
    /// The margins of calibrated bounds: for comparisons and for the ring.
    margins: Option<(u32, u32)>,
    nodes: Vec<Node>,
    ranges: Vec<Range>,
    /// The weights as they are encoded: bounds must hold for these.
    rounded: Vec<ArrayD<f64>>,
    /// The float graph's nodes that they come from.
    sources: Vec<ValueId>,
    specs: Vec<WeightSpec>,
    /// Weights of the float graph and fractional bits that have a node already.
    placed: HashMap<(ValueId, u32), ValueId>,
    /// The value of each node of the float graph; none for weights, which have one for each number of fractional bits.
    values: Vec<Option<ValueId>>,
    /// Truncated values, by the value and the number of bits dropped.
    lowered: HashMap<(ValueId, u32), ValueId>,
}

impl Quantizer<'_> {
    fn input(&mut self, node: &FloatNode, range: f64) -> Result<ValueId> {
        // What a client can send that does not keep to the range counts too.
        let reach = InputRange::holding(range, self.frac_bits).reach() / f64::from(self.frac_bits).exp2();
        let range = Range::symmetric(&node.facts, reach, Source::Proved);
        self.place(&node.name, Op::Input, &[], (node.facts.clone(), self.frac_bits), range)
    }

    /// The operands, weights among them as factors.
    pub(crate) fn operands(&mut self, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        inputs.iter().map(|&input| self.operand(input, WEIGHT_FRAC_BITS)).collect()
    }

    /// An operation on one value, whatever its fractional bits.
    pub(crate) fn unary(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = self.operands(inputs)?;
        self.emit(name, op, &operands)
    }

    /// A product, with fewer fractional bits in its operands where the ring is too small otherwise.
    pub(crate) fn product(&mut self, name: &str, op: Op, operands: &[ValueId]) -> Result<ValueId> {
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
    pub(crate) fn aligned(&mut self, name: &str, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        let facts = || inputs.iter().filter_map(|&input| self.values[input]).map(|x| &self.nodes[x].facts);
        let most = facts().map(|facts| facts.frac_bits).max().unwrap_or(self.frac_bits);
        let room = facts().all(|facts| facts.bound.bits + (most - facts.frac_bits) < MAX_BITS);
        let frac_bits = if room { most } else { self.frac_bits };
        let align = |&input: &ValueId| {
            let x = self.operand(input, frac_bits)?;
            match self.facts(x).frac_bits {
                given if given < frac_bits => {
                    let raise = FixedScale { real: Scale { factor: 1.0 }, frac_bits: frac_bits - given };
                    self.emit(&format!("{name}.align"), Op::Scale(raise), &[x])
                }
                _ => self.at_most(name, x, frac_bits),
            }
        };
        inputs.iter().map(align).collect()
    }

    /// The node of an operand; a weight gets one with these fractional bits.
    fn operand(&mut self, input: ValueId, frac_bits: u32) -> Result<ValueId> {
        if let Some(value) = self.values[input] {
            return Ok(value);
        }
        if let Some(&value) = self.placed.get(&(input, frac_bits)) {
            return Ok(value);
        }
        let node = &self.network.nodes[input];
        let weight = self.network.constant(input).expect("what has no value is a weight");
        let unit = f64::from(frac_bits).exp2();
        let rounded = weight.mapv(|w| (w * unit).round() / unit);
        self.specs.push(WeightSpec { name: node.name.clone(), shape: weight.shape().to_vec(), frac_bits });
        self.sources.push(input);
        self.rounded.push(rounded);
        let index = self.rounded.len() - 1;
        let range = Range::of_weight(&self.rounded[index]);
        let value = self.place(&node.name, Op::Weight(index), &[], (node.facts.clone(), frac_bits), range)?;
        self.placed.insert((input, frac_bits), value);
        Ok(value)
    }

    /// The value, brought to the fractional bits of activations if it has more than `frac_bits`.
    fn at_most(&mut self, name: &str, x: ValueId, frac_bits: u32) -> Result<ValueId> {
        let Node { op, facts, .. } = &self.nodes[x];
        if matches!(op, Op::Weight(_)) || facts.frac_bits <= frac_bits {
            return Ok(x);
        }
        self.lowered(name, x, self.frac_bits)
    }

    /// The value with no more than `frac_bits` fractional bits, truncated once however often it is used.
    pub(crate) fn lowered(&mut self, name: &str, x: ValueId, frac_bits: u32) -> Result<ValueId> {
        let bits = self.facts(x).frac_bits.saturating_sub(frac_bits);
        if bits == 0 {
            return Ok(x);
        }
        if let Some(&lowered) = self.lowered.get(&(x, bits)) {
            return Ok(lowered);
        }
        let lowered = self.emit(&format!("{name}.rescale"), Op::Rescale(Rescale { bits }), &[x])?;
        self.lowered.insert((x, bits), lowered);
        Ok(lowered)
    }

    /// Appends a node after deriving its form and range.
    pub(crate) fn emit(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let facts: Vec<&Facts> = inputs.iter().map(|&input| &self.nodes[input].facts).collect();
        let (form, frac_bits) = op.result(&facts).map_err(|reason| Error::model(name, op.name(), reason))?;
        let forms: Vec<Form> = facts.iter().map(|facts| facts.form()).collect();
        let operand = |(&input, form): (&ValueId, _)| {
            let weight = match self.nodes[input].op {
                Op::Weight(index) => Some(&self.rounded[index]),
                _ => None,
            };
            Operand { range: &self.ranges[input], form, weight }
        };
        let operands: Vec<Operand<'_>> = inputs.iter().zip(&forms).map(operand).collect();
        let operation = op.operation().expect("what has a result is computed");
        let range = operation.range(&operands, &form, frac_bits);
        if operation.dropped() > 0 {
            fits(name, op.name(), facts[0].bound.bits, MAX_BITS_TRUNCATED)?;
        }
        self.place(name, op, inputs, (form, frac_bits), range)
    }

    fn place(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[ValueId],
        (form, frac_bits): (Form, u32),
        range: Range,
    ) -> Result<ValueId> {
        let mut bound = range.bound(frac_bits);
        fits(name, op.name(), bound.bits, MAX_BITS)?;
        if let Op::Weight(_) = op {
            // Nobody needs to know how large a weight is.
            bound.bits = MAX_BITS;
        }
        let facts = Facts { shape: form.shape, batched: form.batched, frac_bits, bound };
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

    /// What is known of a value.
    pub(crate) fn facts(&self, value: ValueId) -> &Facts {
        &self.nodes[value].facts
    }

    /// How large a value can get.
    pub(crate) fn range(&self, value: ValueId) -> &Range {
        &self.ranges[value]
    }

    /// Fractional bits of activations.
    pub(crate) fn activation_bits(&self) -> u32 {
        self.frac_bits
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
