//! The product of a matrix, or vector, with a weight.

use ndarray::{Axis, IxDyn};

use super::linear::Batch;
use super::{Args, FloatOp, FloatOperation, Op, Operation, Place, Product, RingOperation, Shared};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::link::round::Round;
use crate::model::bounds::{Interval, Operand, Range};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;
use crate::party::Party;
use crate::protocol::product::{self, PendingLinear};
use crate::sharing::{ArithmeticShare, slice, tensor};

/// `[k]` or `[m, k]` per sample times a weight `[k, n]`.
pub(super) struct MatMul;

impl Operation for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let [x, w] = form::value_and_weight(operands)?;
        match (x.split_last(), w) {
            (Some((k, rows)), [l, n]) if k == l && rows.len() <= 1 => {
                Ok(Form::batched(rows.iter().copied().chain([*n]).collect()))
            }
            _ => Err(format!("cannot multiply {x:?} per sample by {w:?}")),
        }
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        let (x, w) = (args.x(), args.operands[1].0);
        let (k, n) = (w.shape()[0], w.shape()[1]);
        let w = w.view().into_shape_with_order((k, n)).expect("a matrix");
        let rows = x.clone().into_shape_with_order((x.len() / k, k)).expect("rows of k elements");
        rows.dot(&w).into_shared().into_shape_with_order(IxDyn(&args.shape)).expect("as many elements")
    }
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

    fn range(&self, operands: &[Operand<'_>], _: &Form, _: u32) -> Range {
        let x = &operands[0];
        let columns = operands[1].weight.expect("a weight").axis_iter(Axis(1));
        if x.form.shape.len() == 1 {
            let dot = |column: ndarray::ArrayViewD<'_, f64>| {
                Interval::dot(x.range.channels.iter().copied().zip(column.iter().copied()))
            };
            return Range::of(operands, columns.map(dot).collect());
        }
        // All elements of a row share an interval, so that only the sums of positive and negative weights count.
        let sums = |column: ndarray::ArrayViewD<'_, f64>| {
            column.iter().fold((0.0, 0.0), |(positive, negative), &w| (positive + w.max(0.0), negative + w.min(0.0)))
        };
        let sums: Vec<(f64, f64)> = columns.map(sums).collect();
        let row = |i: Interval| {
            let outputs = sums.iter().map(|&(positive, negative)| i.scale(positive).add(i.scale(negative)));
            outputs.reduce(Interval::hull).unwrap_or(Interval::ZERO)
        };
        Range::of(operands, x.range.each(row))
    }

    fn fixed(&self, kernel: Kernel, args: &Args<'_, u64>, _: &Place<'_>) -> Result<Batch<u64>> {
        let (x, w) = (args.x(), args.operands[1].0);
        let (k, n) = (w.shape()[0], w.shape()[1]);
        let mut product = vec![0; args.shape.iter().product()];
        kernel.gemm([x.len() / k, k, n], slice(x), slice(w), &mut product);
        Ok(tensor(&args.shape, product))
    }

    fn secure(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        let (x, w) = (operands[0].share(), operands[1].share());
        let product = product::matmul(party, &rows(x, w), w)?;
        Ok(Shared::Value(product.reshape(&place.node.facts.full_shape(x.shape()[0]))))
    }

    fn product(&self) -> Option<&dyn Product> {
        Some(self)
    }
}

impl Product for MatMul {
    fn send(&self, round: &mut Round<'_>, x: &ArithmeticShare, w: &ArithmeticShare) -> Result<PendingLinear> {
        product::send_matmul(round, &rows(x, w), w)
    }
}

/// The rows of all samples.
fn rows(x: &ArithmeticShare, w: &ArithmeticShare) -> ArithmeticShare {
    let k = w.shape()[0];
    x.reshape(&[x.len() / k, k])
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
        let x = self.batch(node, 0)?;
        let w = self.required(node, 1)?.clone();
        let w = self.weight(node, "weight", w)?;
        self.push(node, FloatOp::MatMul, &[x, w])
    }
}
