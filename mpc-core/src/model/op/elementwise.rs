//! Sum, difference and product of two operands, element by element.

use ndarray::Zip;

use super::linear::{Batch, Element, Linear};
use super::{Args, FloatOp, FloatOperation, Function, Offset, Op, Operation, Place, RingOperation, Scale, Shared};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::model::bounds::{Interval, Operand, Range};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::{Importer, OnnxNode, Value};
use crate::model::passes::Quantizer;
use crate::party::Party;
use crate::protocol::product;
use crate::sharing::{ArithmeticShare, Share};

/// Elementwise sum.
pub(super) struct Add;

/// Elementwise difference.
pub(super) struct Sub;

/// Elementwise product.
pub(super) struct Mul;

impl Linear for Add {
    fn name(&self) -> &'static str {
        "Add"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        form(operands)
    }

    fn intervals(&self, operands: &[Operand<'_>], form: &Form) -> Vec<Interval> {
        pairs(operands, form).map(|[x, y]| x.add(y)).collect()
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        each(args, T::plus)
    }
}

impl FloatOperation for Add {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = quantizer.aligned(name, inputs)?;
        quantizer.emit(name, Op::Add, &operands)
    }
}

impl Linear for Sub {
    fn name(&self) -> &'static str {
        "Sub"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        form(operands)
    }

    fn intervals(&self, operands: &[Operand<'_>], form: &Form) -> Vec<Interval> {
        pairs(operands, form).map(|[x, y]| x.add(y.scale(-1.0))).collect()
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        each(args, T::minus)
    }
}

impl FloatOperation for Sub {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = quantizer.aligned(name, inputs)?;
        quantizer.emit(name, Op::Sub, &operands)
    }
}

impl Operation for Mul {
    fn name(&self) -> &'static str {
        "Mul"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        form(operands)
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        each(args, |x, y| x * y)
    }
}

impl FloatOperation for Mul {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = quantizer.operands(inputs)?;
        quantizer.product(name, Op::Mul, &operands)
    }
}

impl RingOperation for Mul {
    fn real(&self) -> &dyn Operation {
        self
    }

    fn frac_bits(&self, operands: &[u32]) -> Result<u32, String> {
        Ok(operands[0].saturating_add(operands[1]))
    }

    fn range(&self, operands: &[Operand<'_>], form: &Form, _: u32) -> Range {
        let [x, y] = [0, 1].map(|i| operands[i].range);
        if std::ptr::eq(x, y) {
            return Range::of(operands, x.each(Interval::square));
        }
        Range::of(operands, pairs(operands, form).map(|[x, y]| x.mul(y)).collect())
    }

    fn fixed(&self, _: Kernel, args: &Args<'_, u64>, _: &Place<'_>) -> Result<Batch<u64>> {
        Ok(each(args, u64::wrapping_mul))
    }

    fn secure(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        let components = |component: fn(&ArithmeticShare) -> &Batch<u64>| {
            place.args(operands.iter().map(|x| component(x.share()))).pair()
        };
        let ([x, y], [next_x, next_y]) = (components(Share::own), components(Share::next));
        product::mul(party, &Share::new(x, next_x), &Share::new(y, next_y)).map(Shared::Value)
    }
}

fn form(operands: &[Form]) -> Result<Form, String> {
    let [x, y] = form::exactly(operands)?;
    let shape = form::broadcast(&x.shape, &y.shape)
        .ok_or_else(|| format!("shapes {:?} and {:?} do not broadcast", x.shape, y.shape))?;
    Ok(Form::batched(shape))
}

/// The intervals of both operands, for each channel of the result.
fn pairs(operands: &[Operand<'_>], form: &Form) -> impl Iterator<Item = [Interval; 2]> {
    let [x, y] = [0, 1].map(|i| operands[i].broadcast(&form.shape));
    x.into_iter().zip(y).map(|(x, y)| [x, y])
}

fn each<T: Element>(args: &Args<'_, T>, f: impl Fn(T, T) -> T) -> Batch<T> {
    let [x, y] = args.pair();
    Zip::from(&x).and(&y).map_collect(|&x, &y| f(x, y)).into_shared()
}

impl Importer {
    /// Add, Sub, Mul and Div.
    pub(in crate::model) fn elementwise(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let missing = || node.error("takes two operands");
        let (a, b) = (self.operand(node, 0)?.cloned(), self.operand(node, 1)?.cloned());
        let (a, mut b) = (a.ok_or_else(missing)?, b.ok_or_else(missing)?);
        if node.proto.op_type == "Div" {
            b = match b {
                Value::Batch(b) => Value::Batch(self.function(node, Function::RECIPROCAL, b)?),
                Value::Constant { value, public } => Value::Constant { value: value.mapv(f64::recip), public },
            };
        }
        let op = match node.proto.op_type.as_str() {
            "Add" => FloatOp::Add,
            "Sub" => FloatOp::Sub,
            _ => FloatOp::Mul,
        };
        match (a, b) {
            (Value::Batch(a), Value::Batch(b)) => {
                if self.network.shape(a).len() != self.network.shape(b).len() {
                    return Err(node.error("operands have different numbers of dimensions, so samples would mix"));
                }
                self.push(node, op, &[a, b])
            }
            (Value::Batch(x), Value::Constant { value, public: true }) if value.len() == 1 => {
                self.with_scalar(node, &op, x, value.sum())
            }
            (Value::Batch(x), Value::Constant { value, .. }) => {
                let value = if op == FloatOp::Sub { -value } else { value };
                let weight = self.aligned(node, x, value)?;
                self.push(node, if op == FloatOp::Mul { FloatOp::Mul } else { FloatOp::Add }, &[x, weight])
            }
            (Value::Constant { value, .. }, Value::Batch(x)) => {
                let weight = self.aligned(node, x, value)?;
                self.push(node, op, &[weight, x])
            }
            (Value::Constant { .. }, Value::Constant { .. }) => {
                Err(node.error("is applied to constants; export the model with constant folding"))
            }
        }
    }

    /// A public scalar from the graph's structure.
    fn with_scalar(&mut self, node: &OnnxNode<'_>, op: &FloatOp, x: ValueId, scalar: f64) -> Result<ValueId> {
        let op = match op {
            FloatOp::Add => FloatOp::Offset(Offset { constant: scalar }),
            FloatOp::Sub => FloatOp::Offset(Offset { constant: -scalar }),
            _ => FloatOp::Scale(Scale { factor: scalar }),
        };
        self.push(node, op, &[x])
    }
}
