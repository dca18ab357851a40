//! The public part of a model: a closed set of typed operations in the order in which they are evaluated.
//!
//! A graph names its weights but does not hold them: it may be shown to every party and client. It often comes from an
//! untrusted publisher, so nothing is evaluated before [`Graph::validate`].

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::evaluate::{Known, Operator};
use super::form::{Form, check_size};
use super::op::{Op, Operation, SumWindows};
use crate::error::{Error, Result};
use crate::protocol::compare::Width;
use crate::sharing::InputRange;

/// Most nodes in a graph.
pub const MAX_NODES: usize = 4096;

/// The largest [`Bound::bits`] of any value, so that a difference of two still is an element of Z_2^64 with a sign.
pub const MAX_BITS: u32 = 62;

/// The largest [`Bound::bits`] of a value that is truncated: |x| + 2^(m-1) <= 2^62 for every m up to 62.
pub const MAX_BITS_TRUNCATED: u32 = 61;

/// Index of a node, and of the value it computes.
pub type ValueId = usize;

/// A network from named inputs to outputs. The networks that parties serve have [one of each](Graph::check_served).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// In topological order. The inputs come first; the names of their nodes tell them apart.
    pub nodes: Vec<Node>,
    /// What the weights look like, in the order of [`Op::Weight`].
    pub weights: Vec<WeightSpec>,
    /// The values that the graph computes, in the order in which an evaluation returns them.
    pub outputs: Vec<ValueId>,
}

/// One operation and what is known of its result: in a [`Graph`] unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node<O = Op, F = Facts> {
    /// For error messages: the name in the imported file, or one derived from it.
    pub name: String,
    /// What is computed.
    pub op: O,
    /// Earlier nodes, as many as the operation takes.
    pub inputs: Vec<ValueId>,
    /// What is known of the result.
    pub facts: F,
}

/// A weight tensor, without its elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightSpec {
    /// Name in the imported file.
    pub name: String,
    /// Full shape.
    pub shape: Vec<usize>,
    /// Fractional bits that the elements are encoded with.
    pub frac_bits: u32,
}

/// What everybody knows of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Shape of one sample where `batched` (the batch dimension comes first and is not listed), else the full shape.
    pub shape: Vec<usize>,
    /// Whether there is one such tensor per sample, or one for all: a weight, or what is computed from weights only.
    pub batched: bool,
    /// The ring integer x stands for the real number x / 2^frac_bits.
    pub frac_bits: u32,
    /// How large the ring integer can be.
    pub bound: Bound,
}

/// |ring integer| < 2^bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Rounded up to whole bits, because it is public and derived from secret weights.
    pub bits: u32,
    /// How it is known.
    pub source: Source,
}

/// How a bound is known, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// From the weights and the [ranges](Facts::input_range) of inputs; holds for whatever a client sends.
    Proved,
    /// A clip in the network enforces it.
    Clamped,
    /// Seen on samples, times a margin: an unusual input may exceed it.
    Calibrated,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Proved => "proved",
            Source::Clamped => "clamped",
            Source::Calibrated => "calibrated",
        })
    }
}

impl Graph {
    /// The inputs, in the order in which an evaluation takes them.
    pub fn inputs(&self) -> &[Node] {
        let given = self.nodes.iter().take_while(|node| matches!(node.op, Op::Input)).count();
        &self.nodes[..given]
    }

    /// What is known of the first input: the only one, of a graph that parties serve.
    pub fn input(&self) -> &Facts {
        &self.nodes[0].facts
    }

    /// The [range](Facts::input_range) of the first input.
    ///
    /// # Panics
    /// If the graph is not [valid](Graph::validate).
    pub fn input_range(&self) -> InputRange {
        self.input().input_range()
    }

    /// What is known of the first output: the only one, of a graph that parties serve.
    pub fn output(&self) -> &Facts {
        &self.nodes[self.outputs[0]].facts
    }

    /// Refuses a [valid](Graph::validate) graph that is not from one input to one output, both a row per sample:
    /// parties answer questions about such graphs only.
    ///
    /// # Errors
    /// [`Error::Model`] with what the graph has instead.
    pub fn check_served(&self) -> Result<()> {
        match (self.inputs(), &self.outputs[..]) {
            ([_], &[output]) if self.nodes[output].facts.batched => Ok(()),
            ([_], [_]) => Err(Error::model("graph", "", "the output is not computed from the input")),
            (inputs, outputs) => {
                let (given, computed) = (inputs.len(), outputs.len());
                let reason = format!("has {given} inputs and {computed} outputs; questions are about one of each");
                Err(Error::model("graph", "", reason))
            }
        }
    }

    /// Most windows that one input may have; 1 where inputs are not cut into windows.
    pub fn max_windows(&self) -> u32 {
        let max = |node: &Node| if let Op::SumWindows(SumWindows { max }) = node.op { Some(max) } else { None };
        self.nodes.iter().find_map(max).unwrap_or(1)
    }

    /// Refuses a graph that cannot be evaluated: shapes and fractional bits are derived anew and compared, bounds must
    /// fit the ring, inputs have names of their own. Whether bounds hold depends on the weights, and is the publisher's
    /// word.
    ///
    /// # Errors
    /// [`Error::Model`] with the offending node.
    pub fn validate(&self) -> Result<()> {
        if self.nodes.is_empty() || self.nodes.len() > MAX_NODES || self.weights.len() > MAX_NODES {
            return Err(Error::model("graph", "", format!("has no nodes or more than {MAX_NODES}")));
        }
        let computed = |&output: &ValueId| self.nodes.get(output).is_some_and(|node| !matches!(node.op, Op::Weight(_)));
        if self.outputs.is_empty() || self.outputs.len() > MAX_NODES || !self.outputs.iter().all(computed) {
            return Err(Error::model("graph", "", "has no outputs, or one that it does not compute"));
        }
        let mut names = HashSet::new();
        if let Some(twice) = self.inputs().iter().find(|input| !names.insert(&input.name)) {
            return Err(Error::model(&twice.name, twice.op.name(), "has the name of another input"));
        }
        for weight in &self.weights {
            check_size(&weight.shape).map_err(|reason| Error::model(&weight.name, "Weight", reason))?;
        }
        for (id, node) in self.nodes.iter().enumerate() {
            self.validate_node(id, node).map_err(|reason| Error::model(&node.name, node.op.name(), reason))?;
        }
        Ok(())
    }

    fn validate_node(&self, id: ValueId, node: &Node) -> Result<(), String> {
        if (id < self.inputs().len().max(1)) != matches!(node.op, Op::Input) {
            return Err("the first nodes, and no others, are the inputs".into());
        }
        if node.inputs.iter().any(|&input| input >= id) {
            return Err("an operand is not computed before it is used".into());
        }
        let used = || self.nodes.iter().any(|node| node.inputs.contains(&id));
        if matches!(node.op, Op::SumWindows { .. }) && (!node.facts.batched || used()) {
            return Err("shrinks the batch, which only an output may do".into());
        }
        let operands: Vec<&Facts> = node.inputs.iter().map(|&input| &self.nodes[input].facts).collect();
        let stated = (node.facts.form(), node.facts.frac_bits);
        let derived = match &node.op {
            Op::Input if node.inputs.is_empty() => {
                check_size(&node.facts.shape)?;
                let bits = node.facts.bound.bits;
                InputRange::within(bits)
                    .ok_or_else(|| format!("is bounded by {bits} bits; inputs can be dealt for 3 to {MAX_BITS}"))?;
                (Form::batched(node.facts.shape.clone()), node.facts.frac_bits)
            }
            Op::Weight(index) if node.inputs.is_empty() => {
                let spec = self.weights.get(*index).ok_or("there is no such weight")?;
                (Form { shape: spec.shape.clone(), batched: false }, spec.frac_bits)
            }
            op => op.result(&operands)?,
        };
        if derived != stated {
            let [derived, stated] =
                [derived, stated].map(|(form, frac_bits)| format!("{form} with {frac_bits} fractional bits"));
            return Err(format!("states {stated}, but computes {derived}"));
        }
        self.validate_bounds(node, &operands)
    }

    fn validate_bounds(&self, node: &Node, operands: &[&Facts]) -> Result<(), String> {
        let (bits, frac_bits) = (node.facts.bound.bits, node.facts.frac_bits);
        if bits > MAX_BITS || frac_bits > MAX_BITS {
            return Err(format!("needs {bits} bits, {frac_bits} of them fractional; the ring carries {MAX_BITS}"));
        }
        let Some(operation) = node.op.operation() else { return Ok(()) };
        let given = operands.iter().map(|x| x.bound.bits).max().unwrap_or(0);
        let dropped = operation.dropped();
        if dropped > 0 && given.max(dropped) > MAX_BITS_TRUNCATED {
            return Err(format!("truncates {given} bits by {dropped}; at most {MAX_BITS_TRUNCATED} are possible"));
        }
        operation.check(operands, frac_bits)
    }

    /// How much of such a value a comparison must look at. Activations have the fractional bits of the input; of a
    /// value with more of them, which is going to be truncated, those are left out that are four bits and more below
    /// the last place of an activation.
    pub(crate) fn width(&self, facts: &Facts) -> Width {
        const KEPT: u32 = 4;
        let bits = facts.bound.bits + 1;
        let activation = self.inputs().iter().map(|input| input.facts.frac_bits).max().unwrap_or(0);
        let drop = facts.frac_bits.saturating_sub(activation + KEPT);
        let possible = bits > drop + 2 && bits < u64::BITS - 2;
        Width { bits, drop: if possible { drop } else { 0 } }
    }
}

impl Operator for Op {
    fn weight(&self) -> Option<usize> {
        if let Op::Weight(index) = self { Some(*index) } else { None }
    }

    fn real(&self) -> Option<&dyn Operation> {
        self.operation().map(|operation| operation.real())
    }
}

impl Known for Facts {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn batched(&self) -> bool {
        self.batched
    }
}

impl Facts {
    /// Without what is known only in fixed point.
    pub(super) fn form(&self) -> Form {
        Form { shape: self.shape.clone(), batched: self.batched }
    }

    /// The range that such an input is dealt for. Whatever a client sends, the input's bound holds.
    ///
    /// # Panics
    /// If it is no input of a [valid](Graph::validate) graph.
    pub fn input_range(&self) -> InputRange {
        InputRange::within(self.bound.bits).expect("a bound that was validated")
    }

    /// The shape of a batch of `batch` samples, or of what is the same for all.
    pub fn full_shape(&self, batch: usize) -> Vec<usize> {
        self.batched.then_some(batch).into_iter().chain(self.shape.iter().copied()).collect()
    }
}
