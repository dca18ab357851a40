//! The sum with a public number.

use serde::{Deserialize, Serialize};

use super::linear::Batch;
use super::{Args, FloatOp, FloatOperation, Op, Operation, Place, RingOperation, Shared, constant};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::model::bounds::{Interval, Operand, Range, ulp};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;
use crate::party::Party;

/// Adds a public number to each element; the ring encodes it with the fractional bits of the operand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Offset {
    /// The number.
    pub constant: f64,
}

impl Operation for Offset {
    fn name(&self) -> &'static str {
        "Offset"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let x = form::value(operands)?;
        form::check_finite(self.constant)?;
        Ok(x.clone())
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        args.x().mapv(|x| x + self.constant).into_shared()
    }
}

impl FloatOperation for Offset {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        quantizer.unary(name, Op::Offset(*self), inputs)
    }
}

impl RingOperation for Offset {
    fn real(&self) -> &dyn Operation {
        self
    }

    fn range(&self, operands: &[Operand<'_>], _: &Form, frac_bits: u32) -> Range {
        let constant = Interval { low: self.constant, high: self.constant };
        Range::of(operands, operands[0].range.each(|i| i.add(constant).widen(ulp(frac_bits))))
    }

    fn fixed(&self, _: Kernel, args: &Args<'_, u64>, place: &Place<'_>) -> Result<Batch<u64>> {
        let constant = constant(self.constant, place.operands[0].frac_bits)?;
        Ok(args.x().mapv(|x| x.wrapping_add(constant)).into_shared())
    }

    fn secure(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        let constant = constant(self.constant, place.operands[0].frac_bits)?;
        Ok(Shared::Value(operands[0].share().add_constant(party.role(), constant)))
    }
}

impl Importer {
    /// x + constant.
    pub(in crate::model) fn offset(&mut self, node: &OnnxNode<'_>, x: ValueId, constant: f64) -> Result<ValueId> {
        if constant == 0.0 { Ok(x) } else { self.push(node, FloatOp::Offset(Offset { constant }), &[x]) }
    }
}
