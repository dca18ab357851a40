//! The networks to time, with random weights.

use std::f64::consts::TAU;

use anyhow::{Context, Result, bail};
use mpc_core::kernel::ConvGeometry;
use mpc_core::model::manifest::{Bounds, Reveal};
use mpc_core::model::op::{MaxPool, ReduceSum, Relu, Rescale, Reshape, Scale, SumPool};
use mpc_core::model::{Bound, Declared, Facts, FloatGraph, FloatOp, Graph, Node, Op, PoolGeometry, ValueId, compile};
use ndarray::{ArrayD, IxDyn};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::job::Against;

/// Inputs are declared to stay within this range.
const RANGE: f64 = 8.0;

const FRAC_BITS: u32 = 16;

/// Samples for calibrated bounds.
const CALIBRATION: usize = 4;

/// A program for three parties.
pub(crate) enum Program {
    /// Evaluate a graph.
    Evaluate(Box<Evaluation>),
    /// Send messages of this many bytes around the ring.
    Rounds(usize, Against),
}

/// A compiled network and an input.
pub(crate) struct Evaluation {
    pub(crate) graph: Graph,
    pub(crate) weights: Vec<ArrayD<f64>>,
    /// The inputs; the first axis is the batch.
    pub(crate) input: ArrayD<f64>,
    pub(crate) reveal: Reveal,
}

/// The program of this name on `batch` inputs, the same at every call.
pub(crate) fn build(name: &str, batch: usize) -> Result<Program> {
    let digits = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (family, size) = name.split_at(digits);
    let size =
        || size.parse::<usize>().ok().filter(|&n| n > 0).with_context(|| format!("program {name:?}: which size?"));
    let mut layers = Layers { network: FloatGraph::new(&[1])?, rng: ChaCha8Rng::seed_from_u64(1), count: 0 };
    let mut bounds = Bounds::Proved;
    let mut reveal = Reveal::Scores;
    match (family, name) {
        ("round", _) => return Ok(Program::Rounds(size()?, Against::Tls)),
        ("beside", _) => return Ok(Program::Rounds(size()?, Against::Alone)),
        ("emotion", _) => {
            layers.emotion(size()?)?;
            reveal = Reveal::Label;
        }
        (_, "lenet5") => layers.lenet5(Layers::max_pool)?,
        (_, "lenet5avg") => layers.lenet5(Layers::average_pool)?,
        (_, "face64") => layers.face64()?,
        (_, "resnet18") => {
            layers.resnet18()?;
            bounds = Bounds::Calibrated { comparison_margin: 8, ring_margin: 10 };
        }
        ("relu", _) => {
            let x = layers.operand(&[size()?])?;
            layers.relu(x)?;
        }
        ("mul", _) => layers.product(&[size()?], FloatOp::Mul)?,
        ("matmul", _) => layers.product(&[size()?, size()?], FloatOp::MatMul)?,
        _ => bail!("there is no program {name:?}; see --help"),
    }
    let Layers { network, mut rng, .. } = layers;
    let mut sample = |batch: usize| normal(&mut rng, &[&[batch], network.shape(0)].concat(), 1.0);
    let (samples, input) = (sample(CALIBRATION), sample(batch));
    let samples = matches!(bounds, Bounds::Calibrated { .. }).then_some(std::slice::from_ref(&samples));
    let declared = Declared { range: RANGE, frac_bits: FRAC_BITS, max_windows: None, bounds, samples };
    let (mut graph, weights) = compile(&network, &declared)?;
    if matches!(family, "relu" | "mul" | "matmul") {
        truncate_output(&mut graph)?;
    }
    Ok(Program::Evaluate(Box::new(Evaluation { graph, weights, input, reveal })))
}

/// Truncates the output to [`FRAC_BITS`], as a further computation would need it. The scores of a network go to the
/// client instead, which divides in the clear.
fn truncate_output(graph: &mut Graph) -> Result<()> {
    let Facts { frac_bits, bound, .. } = graph.output();
    let bits = frac_bits - FRAC_BITS;
    if bits > 0 {
        // One bit more than remains, for rounding.
        let bound = Bound { bits: bound.bits.saturating_sub(bits) + 1, ..*bound };
        let facts = Facts { frac_bits: FRAC_BITS, bound, ..graph.output().clone() };
        let (name, inputs) = ("truncate output".to_owned(), graph.outputs.clone());
        graph.outputs = vec![graph.nodes.len()];
        graph.nodes.push(Node { name, op: Op::Rescale(Rescale { bits }), inputs, facts });
    }
    Ok(graph.validate()?)
}

/// A network that grows at its end.
struct Layers {
    network: FloatGraph,
    rng: ChaCha8Rng,
    count: usize,
}

impl Layers {
    fn emotion(&mut self, length: usize) -> Result<()> {
        self.input(&[1, 1, length])?;
        let x = self.conv(0, 128, [1, 5], 1, [0, 2], 1.0)?;
        let x = self.relu(x)?;
        let x = self.max_pool(x, [1, 8])?;
        let x = self.conv(x, 128, [1, 5], 1, [0, 2], 1.0)?;
        let x = self.relu(x)?;
        self.dense(x, 8)?;
        Ok(())
    }

    fn lenet5(&mut self, pool: fn(&mut Self, ValueId, [usize; 2]) -> Result<ValueId>) -> Result<()> {
        self.input(&[1, 28, 28])?;
        let mut x = 0;
        for channels in [20, 50] {
            x = self.conv(x, channels, [5, 5], 1, [0, 0], 1.0)?;
            x = self.relu(x)?;
            x = pool(self, x, [2, 2])?;
        }
        x = self.dense(x, 500)?;
        x = self.relu(x)?;
        self.dense(x, 10)?;
        Ok(())
    }

    fn face64(&mut self) -> Result<()> {
        self.input(&[1, 64, 64])?;
        let mut x = 0;
        for channels in [32, 64, 128] {
            x = self.conv(x, channels, [3, 3], 1, [1, 1], 1.0)?;
            x = self.relu(x)?;
            x = self.max_pool(x, [2, 2])?;
        }
        self.dense(x, 128)?;
        Ok(())
    }

    fn resnet18(&mut self) -> Result<()> {
        /// Models the effect of batch norms on the scale.
        const GAIN: f64 = 0.7;
        self.input(&[3, 32, 32])?;
        let x = self.conv(0, 64, [3, 3], 1, [1, 1], GAIN)?;
        let mut x = self.relu(x)?;
        for (channels, stride) in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)] {
            let y = self.conv(x, channels, [3, 3], stride, [1, 1], GAIN)?;
            let y = self.relu(y)?;
            let y = self.conv(y, channels, [3, 3], 1, [1, 1], GAIN)?;
            let changes = stride != 1 || self.network.shape(x)[0] != channels;
            let shortcut = if changes { self.conv(x, channels, [1, 1], stride, [0, 0], GAIN)? } else { x };
            let sum = self.push(FloatOp::Add, &[y, shortcut])?;
            x = self.relu(sum)?;
        }
        let x = self.push(FloatOp::ReduceSum(ReduceSum { axes: vec![1, 2] }), &[x])?;
        let x = self.push(FloatOp::Scale(Scale { factor: 1.0 / 16.0 }), &[x])?;
        self.dense(x, 10)?;
        Ok(())
    }

    /// A product of two secrets, N(0, 1) each.
    fn product(&mut self, shape: &[usize], op: FloatOp) -> Result<()> {
        let operands = [self.operand(shape)?, self.weight(shape, 1.0)?];
        self.push(op, &operands)?;
        Ok(())
    }

    /// A secret operand: a weight, to which an input of one number is added, because the cost of an input is no part of
    /// a layer's cost.
    fn operand(&mut self, shape: &[usize]) -> Result<ValueId> {
        self.input(&[1])?;
        let weight = self.weight(shape, 1.0)?;
        self.push(FloatOp::Add, &[0, weight])
    }

    fn input(&mut self, shape: &[usize]) -> Result<()> {
        self.network = FloatGraph::new(shape)?;
        Ok(())
    }

    fn conv(
        &mut self,
        x: ValueId,
        out_channels: usize,
        kernel: [usize; 2],
        stride: usize,
        pad: [usize; 2],
        gain: f64,
    ) -> Result<ValueId> {
        let &[in_channels, height, width] = self.network.shape(x) else { bail!("a convolution takes channels") };
        let fan_in = (in_channels * kernel[0] * kernel[1]) as f64;
        let weight = self.weight(&[out_channels, in_channels, kernel[0], kernel[1]], gain * (2.0 / fan_in).sqrt())?;
        let bias = self.weight(&[out_channels, 1, 1], 0.05)?;
        let geometry = ConvGeometry {
            in_channels,
            out_channels,
            groups: 1,
            input: [height, width],
            kernel,
            stride: [stride; 2],
            dilation: [1, 1],
            pad_begin: pad,
            pad_end: pad,
        };
        let product = self.push(FloatOp::Conv(geometry), &[x, weight])?;
        self.push(FloatOp::Add, &[product, bias])
    }

    fn dense(&mut self, x: ValueId, outputs: usize) -> Result<ValueId> {
        let inputs = self.network.shape(x).iter().product();
        let flat = self.push(FloatOp::Reshape(Reshape { shape: vec![inputs] }), &[x])?;
        let weight = self.weight(&[inputs, outputs], (2.0 / inputs as f64).sqrt())?;
        let bias = self.weight(&[outputs], 0.05)?;
        let product = self.push(FloatOp::MatMul, &[flat, weight])?;
        self.push(FloatOp::Add, &[product, bias])
    }

    fn relu(&mut self, x: ValueId) -> Result<ValueId> {
        self.push(FloatOp::Relu(Relu::default()), &[x])
    }

    fn max_pool(&mut self, x: ValueId, kernel: [usize; 2]) -> Result<ValueId> {
        let geometry = self.pool(x, kernel)?;
        self.push(FloatOp::MaxPool(MaxPool(geometry)), &[x])
    }

    fn average_pool(&mut self, x: ValueId, kernel: [usize; 2]) -> Result<ValueId> {
        let geometry = self.pool(x, kernel)?;
        let sum = self.push(FloatOp::SumPool(SumPool(geometry)), &[x])?;
        let factor = 1.0 / (kernel[0] * kernel[1]) as f64;
        self.push(FloatOp::Scale(Scale { factor }), &[sum])
    }

    fn pool(&self, x: ValueId, kernel: [usize; 2]) -> Result<PoolGeometry> {
        let &[_, height, width] = self.network.shape(x) else { bail!("a pool takes channels") };
        let input = [height, width];
        Ok(PoolGeometry { input, kernel, stride: kernel, pad_begin: [0, 0], pad_end: [0, 0] })
    }

    fn weight(&mut self, shape: &[usize], deviation: f64) -> Result<ValueId> {
        let value = normal(&mut self.rng, shape, deviation);
        let name = self.name("weight");
        Ok(self.network.weight(name, value)?)
    }

    fn push(&mut self, op: FloatOp, inputs: &[ValueId]) -> Result<ValueId> {
        let name = self.name(op.name());
        Ok(self.network.push(name, op, inputs)?)
    }

    fn name(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}{}", self.count)
    }
}

/// Normally distributed numbers (Box, Muller 1958), within [`RANGE`].
fn normal(rng: &mut ChaCha8Rng, shape: &[usize], deviation: f64) -> ArrayD<f64> {
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
        (deviation * radius * (TAU * uniform()).cos()).clamp(-RANGE, RANGE)
    })
}
