//! The public part of a model: a closed set of typed operations in the order in which they are evaluated.
//!
//! A graph names its weights but does not hold them: it may be shown to every party and client. It often comes from an
//! untrusted publisher, so nothing is evaluated before [`Graph::validate`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::function::Function;
use super::shape;
use crate::error::{Error, Result};
use crate::kernel::ConvGeometry;
use crate::sharing::InputRange;

/// Most nodes in a graph.
pub const MAX_NODES: usize = 4096;

/// The largest [`Bound::bits`] of any value, so that a difference of two still is an element of Z_2^64 with a sign.
pub const MAX_BITS: u32 = 62;

/// The largest [`Bound::bits`] of a value that is truncated: |x| + 2^(m-1) <= 2^62 for every m up to 62.
pub const MAX_BITS_TRUNCATED: u32 = 61;

/// Index of a node, and of the value it computes.
pub type ValueId = usize;

/// A network from one input to one output, by default a row of scores per sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// In topological order; node 0, and no other, is the input.
    pub nodes: Vec<Node>,
    /// What the weights look like, in the order of [`Op::Weight`].
    pub weights: Vec<WeightSpec>,
    /// The value that the graph computes.
    pub output: ValueId,
}

/// One operation and what is known of its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// For error messages: the name in the imported file, or one derived from it.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// Earlier nodes, as many as the operation takes.
    pub inputs: Vec<ValueId>,
    /// What is known of the result.
    pub facts: Facts,
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
    /// Whether there is one such tensor per sample, or one for all (weights).
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
    /// From the weights and the [range](Graph::input_range) of inputs; holds for whatever a client sends.
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

/// What a node computes. Constants are real numbers; a ring backend rounds them to the fractional bits stated here.
///
/// Two operands of an elementwise operation broadcast as in ONNX, aligned at the last dimension; the batch dimension
/// is always the first one and never broadcast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The samples.
    Input,
    /// Weight number i of [`Graph::weights`].
    Weight(usize),
    /// Input `[channels, h, w]` per sample, and a weight; fractional bits add up.
    Conv(ConvGeometry),
    /// Input `[k]` or `[m, k]` per sample times a weight `[k, n]`; fractional bits add up.
    MatMul,
    /// Elementwise sum; operands have the same fractional bits.
    Add,
    /// Elementwise difference; operands have the same fractional bits.
    Sub,
    /// Elementwise product; fractional bits add up.
    Mul,
    /// Product with the public round(factor * 2^frac_bits); fractional bits add up. Free where that integer is 1.
    Scale {
        /// The real factor.
        factor: f64,
        /// Fractional bits it is encoded with.
        frac_bits: u32,
    },
    /// Adds a public constant to every element.
    Offset {
        /// The real constant, encoded with the fractional bits of the operand.
        constant: f64,
    },
    /// Drops `bits` fractional bits: truncation.
    Rescale {
        /// How many.
        bits: u32,
    },
    /// max(x, 0) after dropping `rescale` fractional bits, then min(.., ceiling).
    Relu {
        /// Fractional bits to drop.
        rescale: u32,
        /// Upper end of a clipped ReLU.
        ceiling: Option<f64>,
    },
    /// Largest element in every window of each channel; padding never wins.
    MaxPool(PoolGeometry),
    /// Sum of every window of each channel; padding counts as zero.
    SumPool(PoolGeometry),
    /// Sum over some dimensions of a sample, which disappear.
    ReduceSum {
        /// Which, ascending.
        axes: Vec<usize>,
    },
    /// The same elements in another per-sample shape.
    Reshape {
        /// That shape.
        shape: Vec<usize>,
    },
    /// Dimension i of the result is dimension `perm[i]` of the operand.
    Transpose {
        /// A permutation of the dimensions of a sample.
        perm: Vec<usize>,
    },
    /// Zeros around a sample.
    Pad {
        /// Zeros before each dimension.
        begin: Vec<usize>,
        /// Zeros behind each dimension.
        end: Vec<usize>,
    },
    /// Joins samples along a dimension.
    Concat {
        /// Which dimension of a sample.
        axis: usize,
    },
    /// Sums the samples that are windows of one input: the batch shrinks from windows to inputs.
    SumWindows {
        /// Most windows that an input may have.
        max: u32,
    },
    /// A function of each element that the parties approximate.
    Function {
        /// Which.
        function: Function,
        /// Fractional bits of the result.
        frac_bits: u32,
    },
}

impl Op {
    /// Short name for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input => "Input",
            Op::Weight(_) => "Weight",
            Op::Conv(_) => "Conv",
            Op::MatMul => "MatMul",
            Op::Add => "Add",
            Op::Sub => "Sub",
            Op::Mul => "Mul",
            Op::Scale { .. } => "Scale",
            Op::Offset { .. } => "Offset",
            Op::Rescale { .. } => "Rescale",
            Op::Relu { .. } => "Relu",
            Op::Function { function, .. } => function.name(),
            Op::MaxPool(_) => "MaxPool",
            Op::SumPool(_) => "SumPool",
            Op::ReduceSum { .. } => "ReduceSum",
            Op::Reshape { .. } => "Reshape",
            Op::Transpose { .. } => "Transpose",
            Op::Pad { .. } => "Pad",
            Op::Concat { .. } => "Concat",
            Op::SumWindows { .. } => "SumWindows",
        }
    }
}

/// Windows over the last two dimensions of `[channels, h, w]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolGeometry {
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Padding before the first row and column.
    pub pad_begin: [usize; 2],
    /// Padding behind the last row and column.
    pub pad_end: [usize; 2],
}

impl PoolGeometry {
    /// Height and width of the output of a geometry that was validated.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|d| (self.input[d] + self.pad_begin[d] + self.pad_end[d] - self.kernel[d]) / self.stride[d] + 1)
    }

    /// Elements per window.
    pub fn window(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

impl Graph {
    /// What is known of the input.
    pub fn input(&self) -> &Facts {
        &self.nodes[0].facts
    }

    /// The range that inputs are dealt for. Whatever a client sends, the input's bound holds.
    ///
    /// # Panics
    /// If the graph is not [valid](Graph::validate).
    pub fn input_range(&self) -> InputRange {
        InputRange::within(self.input().bound.bits).expect("a bound that was validated")
    }

    /// What is known of the output.
    pub fn output(&self) -> &Facts {
        &self.nodes[self.output].facts
    }

    /// Most windows that one input may have; 1 where inputs are not cut into windows.
    pub fn max_windows(&self) -> u32 {
        let max = |node: &Node| if let Op::SumWindows { max } = node.op { Some(max) } else { None };
        self.nodes.iter().find_map(max).unwrap_or(1)
    }

    /// Refuses a graph that cannot be evaluated: shapes and fractional bits are derived anew and compared, bounds must
    /// fit the ring. Whether bounds hold depends on the weights, and is the publisher's word.
    ///
    /// # Errors
    /// [`Error::Model`] with the offending node.
    pub fn validate(&self) -> Result<()> {
        if self.nodes.is_empty() || self.nodes.len() > MAX_NODES || self.weights.len() > MAX_NODES {
            return Err(Error::model("graph", "", format!("has no nodes or more than {MAX_NODES}")));
        }
        if self.output >= self.nodes.len() || !self.output().batched {
            return Err(Error::model("graph", "", "the output is not a value computed from the input"));
        }
        for weight in &self.weights {
            shape::check_size(&weight.shape).map_err(|reason| Error::model(&weight.name, "Weight", reason))?;
        }
        for (id, node) in self.nodes.iter().enumerate() {
            self.validate_node(id, node).map_err(|reason| Error::model(&node.name, node.op.name(), reason))?;
        }
        Ok(())
    }

    fn validate_node(&self, id: ValueId, node: &Node) -> Result<(), String> {
        if (id == 0) != matches!(node.op, Op::Input) {
            return Err("the first node, and no other, is the input".into());
        }
        if node.inputs.iter().any(|&input| input >= id) {
            return Err("an operand is not computed before it is used".into());
        }
        if matches!(node.op, Op::SumWindows { .. }) && id != self.output {
            return Err("shrinks the batch, which only the output may do".into());
        }
        let operands: Vec<&Facts> = node.inputs.iter().map(|&input| &self.nodes[input].facts).collect();
        let derived = match &node.op {
            Op::Input if node.inputs.is_empty() => {
                shape::check_size(&node.facts.shape)?;
                let bits = node.facts.bound.bits;
                InputRange::within(bits)
                    .ok_or_else(|| format!("is bounded by {bits} bits; inputs can be dealt for 3 to {MAX_BITS}"))?;
                shape::Form { shape: node.facts.shape.clone(), batched: true, frac_bits: node.facts.frac_bits }
            }
            Op::Weight(index) if node.inputs.is_empty() => {
                let spec = self.weights.get(*index).ok_or("there is no such weight")?;
                shape::Form { shape: spec.shape.clone(), batched: false, frac_bits: spec.frac_bits }
            }
            op => shape::infer(op, &operands.iter().map(|facts| facts.form()).collect::<Vec<_>>())?,
        };
        let stated = node.facts.form();
        if derived != stated {
            return Err(format!("states {stated}, but computes {derived}"));
        }
        self.validate_bounds(node, &operands)
    }

    fn validate_bounds(&self, node: &Node, operands: &[&Facts]) -> Result<(), String> {
        let (bits, frac_bits) = (node.facts.bound.bits, node.facts.frac_bits);
        if bits > MAX_BITS || frac_bits > MAX_BITS {
            return Err(format!("needs {bits} bits, {frac_bits} of them fractional; the ring carries {MAX_BITS}"));
        }
        let (dropped, ceiling) = match node.op {
            Op::Rescale { bits } => (bits, None),
            Op::Relu { rescale, ceiling } => (rescale, ceiling),
            Op::Function { function, frac_bits } => {
                return function.approximation(operands[0], frac_bits).map(drop);
            }
            _ => return Ok(()),
        };
        let given = operands.iter().map(|x| x.bound.bits).max().unwrap_or(0);
        if dropped > 0 && given.max(dropped) > MAX_BITS_TRUNCATED {
            return Err(format!("truncates {given} bits by {dropped}; at most {MAX_BITS_TRUNCATED} are possible"));
        }
        if matches!(node.op, Op::Rescale { bits: 0 }) {
            return Err("drops no bits".into());
        }
        let unit = f64::from(frac_bits + dropped).exp2();
        match ceiling {
            Some(c) if !(c > 0.0 && (c * unit + unit).log2() < f64::from(MAX_BITS_TRUNCATED)) => {
                Err(format!("has the ceiling {c}, which is not positive or too large for the ring"))
            }
            _ => Ok(()),
        }
    }
}

impl Facts {
    pub(super) fn form(&self) -> shape::Form {
        shape::Form { shape: self.shape.clone(), batched: self.batched, frac_bits: self.frac_bits }
    }

    /// The shape of a batch of `batch` samples, or of the weight.
    pub fn full_shape(&self, batch: usize) -> Vec<usize> {
        self.batched.then_some(batch).into_iter().chain(self.shape.iter().copied()).collect()
    }
}
