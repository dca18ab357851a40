//! The product of two matrices, or stacks of them.
//!
//! Rows times a matrix that is the same for all samples are one matrix product. Otherwise an operand has matrices of
//! its own for each sample: the product of `[m, k]` and `[k, n]` is the convolution of k channels of n pixels with a
//! kernel of one pixel, and stacked matrices are its groups. So any number of products are one convolution and one
//! claim.

use ndarray::{ArrayViewD, Axis, IxDyn};

use super::linear::{Batch, Element};
use super::{Args, FloatOp, FloatOperation, Op, Operation, Place, Product, RingOperation, Shared};
use crate::error::Result;
use crate::kernel::{ConvGeometry, Kernel};
use crate::link::round::Round;
use crate::model::bounds::{Interval, Operand, Range};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::{Importer, OnnxNode, Value};
use crate::model::passes::Quantizer;
use crate::party::Party;
use crate::protocol::product::{self, PendingLinear};
use crate::sharing::{ArithmeticShare, slice, tensor};

/// Per sample, `[.., k]` times `[k, n]`, or `[.., m, k]` times `[.., k, n]` where the leading dimensions are the same.
pub(super) struct MatMul;

/// What a product consists of: `stack` products of `[m, k]` and `[k, n]`.
struct Sizes {
    stack: usize,
    m: usize,
    k: usize,
    n: usize,
}

impl Sizes {
    /// The sizes for operands of these shapes per sample, if they fit.
    fn of(x: &[usize], y: &[usize]) -> Option<Self> {
        let (&k, rows) = x.split_last()?;
        let &[ref stack @ .., inner, n] = y else { return None };
        let (m, stacked) = match (rows, stack) {
            (rows, []) => (rows.iter().product(), true),
            ([above @ .., m], stack) => (*m, above == stack),
            ([], _) => return None,
        };
        (inner == k && stacked).then(|| Self { stack: stack.iter().product(), m, k, n })
    }

    /// The product as a convolution of the right operand with the left one.
    fn convolution(&self) -> ConvGeometry {
        ConvGeometry {
            in_channels: self.stack * self.k,
            out_channels: self.stack * self.m,
            groups: self.stack,
            input: [1, self.n],
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            pad_begin: [0; 2],
            pad_end: [0; 2],
        }
    }
}

/// How a product is computed.
enum Way<T> {
    /// As the product of a matrix `[rows, k]` with a matrix `[k, n]`: rows, k and n.
    Rows([usize; 3]),
    /// As a convolution with these operands, each with whether it is a batch.
    Convolution(ConvGeometry, [(T, bool); 2]),
}

impl<T> Way<T> {
    /// `shape` tells the shape of an operand, `reshape` gives it another one.
    fn of(
        [(x, x_batched), (y, y_batched)]: [(&T, bool); 2],
        shape: impl Fn(&T) -> &[usize],
        reshape: impl Fn(&T, &[usize]) -> T,
    ) -> Self {
        let sample = |t: &T, batched: bool| shape(t)[usize::from(batched)..].to_vec();
        let sizes = Sizes::of(&sample(x, x_batched), &sample(y, y_batched)).expect("operands that were checked");
        if x_batched && !y_batched && sizes.stack == 1 {
            return Self::Rows([shape(x)[0] * sizes.m, sizes.k, sizes.n]);
        }
        let geometry = sizes.convolution();
        let arrange = |t: &T, batched: bool, sample: &[usize]| {
            let samples = batched.then(|| shape(t)[0]);
            (reshape(t, &samples.into_iter().chain(sample.iter().copied()).collect::<Vec<_>>()), batched)
        };
        let pixels = arrange(y, y_batched, &[geometry.in_channels, 1, sizes.n]);
        let kernel = arrange(x, x_batched, &[geometry.out_channels, sizes.k, 1, 1]);
        Self::Convolution(geometry, [pixels, kernel])
    }

    fn of_tensors<E: Element>(args: &Args<'_, E>) -> Way<Batch<E>> {
        let reshape =
            |t: &Batch<E>, shape: &[usize]| t.clone().into_shape_with_order(IxDyn(shape)).expect("as many elements");
        Way::of([args.operands[0], args.operands[1]], |t: &Batch<E>| t.shape(), reshape)
    }
}

impl Operation for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let [Form { shape: x, .. }, Form { shape: y, .. }] = form::exactly(operands)?;
        let sizes = Sizes::of(x, y).ok_or_else(|| format!("cannot multiply {x:?} per sample by {y:?}"))?;
        Ok(Form::batched(x[..x.len() - 1].iter().copied().chain([sizes.n]).collect()))
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        let product = match Way::<Batch<f64>>::of_tensors(args) {
            Way::Rows([rows, k, n]) => {
                let matrix = |i: usize, shape: (usize, usize)| {
                    args.operands[i].0.view().into_shape_with_order(shape).expect("a matrix")
                };
                matrix(0, (rows, k)).dot(&matrix(1, (k, n))).into_dyn().into_shared()
            }
            Way::Convolution(geometry, operands) => geometry.float(&convolved(&geometry, &operands, args)),
        };
        product.into_shape_with_order(IxDyn(&args.shape)).expect("as many elements")
    }
}

/// The arguments of the convolution that a product is computed as.
fn convolved<'a, T>(geometry: &ConvGeometry, operands: &'a [(Batch<T>, bool); 2], args: &Args<'a, T>) -> Args<'a, T> {
    let [height, width] = geometry.output();
    let shape = vec![args.shape[0], geometry.out_channels, height, width];
    let operands = operands.iter().map(|(operand, batched)| (operand, *batched)).collect();
    Args { operands, shape, windows: args.windows }
}

impl FloatOperation for MatMul {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = quantizer.operands(inputs)?;
        quantizer.product(name, Op::MatMul, &operands)
    }
}

impl RingOperation for MatMul {
    fn real(&self) -> &dyn Operation {
        self
    }

    fn frac_bits(&self, operands: &[u32]) -> Result<u32, String> {
        Ok(operands[0].saturating_add(operands[1]))
    }

    fn range(&self, operands: &[Operand<'_>], form: &Form, _: u32) -> Range {
        let [x, y] = [&operands[0], &operands[1]];
        let channels = match (x.weight, y.weight) {
            (None, Some(w)) if w.ndim() == 2 => times_weight(x, w.view()),
            (Some(w), None) if w.ndim() == 2 && y.form.shape.len() == 2 => {
                let row =
                    |row: ArrayViewD<'_, f64>| Interval::dot(y.range.channels.iter().copied().zip(row.iter().copied()));
                w.outer_iter().map(row).collect()
            }
            _ => times_value(x, y, form),
        };
        Range::of(operands, channels)
    }

    fn fixed(&self, kernel: Kernel, args: &Args<'_, u64>, place: &Place<'_>) -> Result<Batch<u64>> {
        match Way::<Batch<u64>>::of_tensors(args) {
            Way::Rows(sizes) => {
                let mut product = vec![0; args.shape.iter().product()];
                kernel.gemm(sizes, slice(args.x()), slice(args.operands[1].0), &mut product);
                Ok(tensor(&args.shape, product))
            }
            Way::Convolution(geometry, operands) => {
                let product = geometry.fixed(kernel, &convolved(&geometry, &operands, args), place)?;
                Ok(product.into_shape_with_order(IxDyn(&args.shape)).expect("as many elements"))
            }
        }
    }

    fn secure(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        (self as &dyn Product).compute(party, operands, place)
    }

    fn product(&self) -> Option<&dyn Product> {
        Some(self)
    }
}

impl Product for MatMul {
    fn send(&self, round: &mut Round<'_>, operands: [(&ArithmeticShare, bool); 2]) -> Result<PendingLinear> {
        let [(x, _), (w, _)] = operands;
        match Way::of(operands, ArithmeticShare::shape, ArithmeticShare::reshape) {
            Way::Rows([rows, k, n]) => product::send_matmul(round, &x.reshape(&[rows, k]), &w.reshape(&[k, n])),
            Way::Convolution(geometry, [x, w]) => geometry.send(round, [(&x.0, x.1), (&w.0, w.1)]),
        }
    }
}

/// The intervals of rows times a matrix whose elements are known.
fn times_weight(x: &Operand<'_>, w: ArrayViewD<'_, f64>) -> Vec<Interval> {
    let columns = w.axis_iter(Axis(1));
    if x.form.shape.len() == 1 {
        let dot =
            |column: ArrayViewD<'_, f64>| Interval::dot(x.range.channels.iter().copied().zip(column.iter().copied()));
        return columns.map(dot).collect();
    }
    // All elements of a row share an interval, so that only the sums of positive and negative weights count.
    let sums = |column: ArrayViewD<'_, f64>| {
        column.iter().fold((0.0, 0.0), |(positive, negative), &w| (positive + w.max(0.0), negative + w.min(0.0)))
    };
    let sums: Vec<(f64, f64)> = columns.map(sums).collect();
    let row = |i: Interval| {
        let outputs = sums.iter().map(|&(positive, negative)| i.scale(positive).add(i.scale(negative)));
        outputs.reduce(Interval::hull).unwrap_or(Interval::ZERO)
    };
    x.range.each(row)
}

/// The intervals of a product of which only the intervals of both operands are known.
fn times_value(x: &Operand<'_>, y: &Operand<'_>, form: &Form) -> Vec<Interval> {
    let (rows, inner) = (&x.range.channels, &y.range.channels);
    match (x.form.shape.len(), y.form.shape.len()) {
        // Element i of a vector meets row i.
        (1, _) => {
            let dot = rows.iter().zip(inner).fold(Interval::ZERO, |sum, (&x, &y)| sum.add(x.mul(y)));
            vec![dot; form.shape[0]]
        }
        // Each row meets all rows of the matrix.
        (_, 2) => x.range.each(|row| inner.iter().fold(Interval::ZERO, |sum, &y| sum.add(row.mul(y)))),
        // Matrix i of a stack meets matrix i of the other.
        (_, rank) => {
            let k = y.form.shape[rank - 2] as f64;
            rows.iter().zip(inner).map(|(&x, &y)| x.mul(y).scale(k)).collect()
        }
    }
}

impl Importer {
    /// Gemm: alpha * x * W + beta * c, W possibly transposed.
    pub(in crate::model) fn gemm(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["alpha", "beta", "transA", "transB"])?;
        let x = self.batch(node, 0)?;
        if node.int("transA", 0) != 0 {
            return Err(node.error("transA would mix samples of a batch"));
        }
        let w = self.required(node, 1)?;
        if w.ndim() != 2 {
            return Err(node.error(format!("operand 1 has shape {:?}, expected a matrix", w.shape())));
        }
        let w = if node.int("transB", 0) != 0 { w.t().to_owned() } else { w.clone() };
        let bias = self.constant(node, 2)?.map(|bias| bias * node.float("beta", 1.0));
        let w = self.weight(node, "weight", w * node.float("alpha", 1.0))?;
        let product = self.push(node, FloatOp::MatMul, &[x, w])?;
        match bias {
            Some(bias) => self.add_weight(node, product, bias),
            None => Ok(product),
        }
    }

    /// MatMul.
    pub(in crate::model) fn matmul(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let missing = || node.error("takes two operands");
        let (x, y) = (self.operand(node, 0)?.cloned(), self.operand(node, 1)?.cloned());
        let operands = match (x.ok_or_else(missing)?, y.ok_or_else(missing)?) {
            (Value::Batch(x), Value::Batch(y)) => {
                let ranks = [x, y].map(|operand| self.network.shape(operand).len());
                if ranks[0] != ranks[1] || ranks[0] < 2 {
                    return Err(
                        node.error("operands are not a matrix, or stack of matrices, each, so samples would mix")
                    );
                }
                [x, y]
            }
            (Value::Batch(x), Value::Constant { value, .. }) => [x, self.weight(node, "weight", value)?],
            (Value::Constant { value, .. }, Value::Batch(y)) if value.ndim() > self.network.shape(y).len() => {
                return Err(node.error("has a constant of more dimensions than a sample, so samples would mix"));
            }
            (Value::Constant { value, .. }, Value::Batch(y)) => [self.weight(node, "weight", value)?, y],
            (Value::Constant { .. }, Value::Constant { .. }) => {
                return Err(node.error("is applied to constants; export the model with constant folding"));
            }
        };
        self.push(node, FloatOp::MatMul, &operands)
    }
}
