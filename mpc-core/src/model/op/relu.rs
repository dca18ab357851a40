//! max(x, 0), possibly clipped. A truncation that is due becomes part of it, since the comparison need not wait for it.

use serde::{Deserialize, Serialize};

use super::linear::Batch;
use super::{Args, FloatOp, FloatOperation, Function, Op, Operation, Place, RingOperation, Scale, Shared, constant};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::model::bounds::{Interval, Operand, Range, truncation_error};
use crate::model::float_graph::FloatNode;
use crate::model::form::{self, Form};
use crate::model::graph::{Facts, MAX_BITS_TRUNCATED, Source, ValueId};
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;
use crate::party::Party;
use crate::protocol::power::Exponent;
use crate::protocol::{pool, relu::relu};

/// max(x, 0), then min(.., ceiling).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Relu {
    /// Upper end of a clipped ReLU.
    pub ceiling: Option<f64>,
}

/// The ReLU after dropping `rescale` fractional bits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FixedRelu {
    /// Fractional bits to drop.
    pub rescale: u32,
    /// What it means.
    pub real: Relu,
}

impl Operation for Relu {
    fn name(&self) -> &'static str {
        "Relu"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let x = form::value(operands)?;
        form::check_finite(self.ceiling.unwrap_or(0.0))?;
        Ok(x.clone())
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        args.x().mapv(|x| x.max(0.0).min(self.ceiling.unwrap_or(f64::INFINITY))).into_shared()
    }
}

impl FloatOperation for Relu {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = quantizer.operands(inputs)?;
        let rescale = quantizer.facts(operands[0]).frac_bits.saturating_sub(quantizer.activation_bits());
        quantizer.emit(name, Op::Relu(FixedRelu { rescale, real: *self }), &operands)
    }
}

impl RingOperation for FixedRelu {
    fn real(&self) -> &dyn Operation {
        &self.real
    }

    fn frac_bits(&self, operands: &[u32]) -> Result<u32, String> {
        operands[0].checked_sub(self.rescale).ok_or_else(|| "drops more fractional bits than there are".into())
    }

    fn dropped(&self) -> u32 {
        self.rescale
    }

    fn check(&self, _: &[&Facts], frac_bits: u32) -> Result<(), String> {
        let unit = f64::from(frac_bits + self.rescale).exp2();
        match self.real.ceiling {
            Some(c) if !(c > 0.0 && (c * unit + unit).log2() < f64::from(MAX_BITS_TRUNCATED)) => {
                Err(format!("has the ceiling {c}, which is not positive or too large for the ring"))
            }
            _ => Ok(()),
        }
    }

    fn range(&self, operands: &[Operand<'_>], _: &Form, frac_bits: u32) -> Range {
        let x = operands[0].range;
        let error = if self.rescale > 0 { truncation_error(frac_bits) } else { 0.0 };
        let top = self.real.ceiling.unwrap_or(f64::INFINITY);
        let clipped = self.real.ceiling.is_some() && (x.magnitude() > top || x.source == Source::Calibrated);
        // A truncation may round a little above zero down to below it: the result is not clipped a second time.
        let channels = x.each(|i| {
            let i = i.widen(error);
            Interval { low: i.low.max(-error).min(0.0), high: i.high.max(0.0).min(top + error) }
        });
        Range { channels, source: if clipped { Source::Clamped } else { x.source } }
    }

    fn fixed(&self, _: Kernel, args: &Args<'_, u64>, place: &Place<'_>) -> Result<Batch<u64>> {
        let ceiling = self.ceiling(place)?.map_or(i64::MAX, |c| c as i64);
        Ok(args.x().mapv(|x| (x as i64 >> self.rescale).max(0).min(ceiling) as u64).into_shared())
    }

    fn secure(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        let width = place.graph.width(place.operands[0]);
        let value = match operands[0] {
            Shared::Value(x) => relu(party, x, width, self.rescale, self.ceiling(place)?)?,
            Shared::Candidates(candidates, levels) => pool::max_relu(party, candidates, width, self.rescale, levels)?,
        };
        Ok(Shared::Value(value))
    }
}

impl FixedRelu {
    fn ceiling(&self, place: &Place<'_>) -> Result<Option<u64>> {
        self.real.ceiling.map(|c| constant(c, place.node.facts.frac_bits)).transpose()
    }
}

impl Importer {
    /// Relu.
    pub(in crate::model) fn relu(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let x = self.batch(node, 0)?;
        self.push(node, FloatOp::Relu(Relu::default()), &[x])
    }

    /// Clip: min(max(x, low), high), from ReLUs. The ends are public.
    pub(in crate::model) fn clip(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["min", "max"])?;
        let x = self.batch(node, 0)?;
        let end = |importer: &Self, index: usize, name: &str| -> Result<Option<f64>> {
            let value = match importer.constant(node, index)? {
                Some(value) => {
                    Some(value.iter().copied().next().filter(|_| value.len() == 1).ok_or_else(|| {
                        node.error(format!("{name} has shape {:?}, expected a scalar", value.shape()))
                    })?)
                }
                None => node.attribute(name).map(|attribute| attribute.f.into()),
            };
            Ok(value.filter(|end| end.abs() < f64::from(f32::MAX)))
        };
        let (low, high) = (end(self, 1, "min")?, end(self, 2, "max")?);
        match (low, high) {
            (None, None) => Ok(x),
            // A root is not negative, and what divides by it minds its lower end.
            (Some(low), None) if (0.0..=RESOLUTION).contains(&low) && self.is_root(x) => Ok(x),
            (Some(low), high) => {
                let ceiling = high.map(|high| high - low);
                if ceiling.is_some_and(|ceiling| ceiling <= 0.0) {
                    return Err(node.error("max is not above min"));
                }
                let above = self.offset(node, x, -low)?;
                let clipped = self.push(node, FloatOp::Relu(Relu { ceiling }), &[above])?;
                self.offset(node, clipped, low)
            }
            (None, Some(high)) => {
                let negated = self.push(node, FloatOp::Scale(Scale { factor: -1.0 }), &[x])?;
                let below = self.offset(node, negated, high)?;
                let rest = self.push(node, FloatOp::Relu(Relu::default()), &[below])?;
                let negated = self.push(node, FloatOp::Scale(Scale { factor: -1.0 }), &[rest])?;
                self.offset(node, negated, high)
            }
        }
    }

    fn is_root(&self, x: ValueId) -> bool {
        match &self.network.nodes[x] {
            FloatNode { op: FloatOp::Reshape(_), inputs, .. } => self.is_root(inputs[0]),
            FloatNode { op: FloatOp::Function(Function::Power(power)), .. } => power.exponent == Exponent::Sqrt,
            _ => false,
        }
    }
}

/// Exporters clip a norm here before they divide by it; fixed point cannot represent such a number.
const RESOLUTION: f64 = 1e-5;
