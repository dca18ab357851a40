//! Functions of one number that are no sums of products: the parties approximate them. One file for each; this one
//! registers them.

mod erf;
mod exp;
mod power;
mod sigmoid;
mod table;
mod tanh;

use serde::{Deserialize, Serialize};

use erf::Erf;
pub use exp::Exp;
pub use power::Power;
use sigmoid::Sigmoid;
use tanh::Tanh;

use super::linear::Batch;
use super::{Args, FloatOp, FloatOperation, Op, Operation, Place, RingOperation, Shared, constant};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::model::bounds::{Interval, Operand, Range, ulp};
use crate::model::form::{self, Form};
use crate::model::graph::{Facts, ValueId};
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;
use crate::party::Party;
use crate::protocol::piecewise::{Argument, Piecewise};
use crate::protocol::power::{Exponent, Octaves, power};
use crate::ring::fixed;
use crate::sharing::tensor;

/// A function that is applied to each element. The limits of its domain are part of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Function {
    /// A power of max(x, 2^low).
    Power(Power),
    /// exp(min(x, high)).
    Exp(Exp),
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// tanh x.
    Tanh,
    /// The error function.
    Erf,
}

/// A function as the parties compute it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FixedFunction {
    /// What it means.
    pub function: Function,
    /// Fractional bits of the result.
    pub frac_bits: u32,
}

/// What the file of a function provides. All functions are monotone.
trait Curve {
    /// Short name for messages.
    fn name(&self) -> &'static str;

    /// The function of a real number.
    fn of(&self, x: f64) -> f64;

    /// How far the parties' result may be from [`of`](Curve::of) where that is at most `largest`, to both sides and
    /// further above.
    fn error(&self, largest: f64) -> [f64; 2];

    /// The value with as many fractional bits as the function takes, and the function with its domain cut to the
    /// value's range.
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, x: ValueId) -> Result<(ValueId, Function)>;

    /// How the parties compute it of a value with these facts, or why they cannot.
    fn approximation(&self, argument: &Facts) -> Result<Approximation, String>;

    /// The table it is computed by, if it is one.
    fn table(&self) -> Option<Piecewise>;
}

/// How the parties compute a function of a value.
enum Approximation {
    Power(Exponent, Octaves),
    Piecewise(Piecewise, Argument),
}

/// Most fractional bits of a result.
const MAX_RESULT_BITS: u32 = 24;

impl Function {
    /// 1/x down to 2^-8.
    pub const RECIPROCAL: Self = Self::Power(Power { exponent: Exponent::Reciprocal, low: -8 });

    /// 1/sqrt(x) down to 2^-16.
    pub const INVERSE_SQRT: Self = Self::Power(Power { exponent: Exponent::InverseSqrt, low: -16 });

    /// sqrt(x), zero below 2^-16.
    pub const SQRT: Self = Self::Power(Power { exponent: Exponent::Sqrt, low: -16 });

    fn curve(&self) -> &dyn Curve {
        match self {
            Function::Power(power) => power,
            Function::Exp(exp) => exp,
            Function::Sigmoid => &Sigmoid,
            Function::Tanh => &Tanh,
            Function::Erf => &Erf,
        }
    }

    /// The function that an ONNX operator of this type is.
    pub(crate) fn of_onnx(operator: &str) -> Option<Self> {
        Some(match operator {
            "Erf" => Function::Erf,
            "Exp" => Function::Exp(Exp { high: f64::INFINITY }),
            "Reciprocal" => Function::RECIPROCAL,
            "Sigmoid" => Function::Sigmoid,
            "Sqrt" => Function::SQRT,
            "Tanh" => Function::Tanh,
            _ => return None,
        })
    }

    /// The cubics that approximate it, unless it is a power or its domain has no end that a table could have.
    pub fn table(&self) -> Option<Piecewise> {
        self.curve().table()
    }
}

impl Operation for Function {
    fn name(&self) -> &'static str {
        self.curve().name()
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        form::value(operands).cloned()
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        let curve = self.curve();
        args.x().mapv(|x| curve.of(x)).into_shared()
    }
}

impl FloatOperation for Function {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = quantizer.operands(inputs)?;
        let (x, function) = self.curve().quantize(quantizer, name, operands[0])?;
        let fixed = FixedFunction { function, frac_bits: quantizer.activation_bits() };
        quantizer.emit(name, Op::Function(fixed), &[x])
    }
}

impl RingOperation for FixedFunction {
    fn real(&self) -> &dyn Operation {
        &self.function
    }

    fn frac_bits(&self, _: &[u32]) -> Result<u32, String> {
        Ok(self.frac_bits)
    }

    fn check(&self, operands: &[&Facts], _: u32) -> Result<(), String> {
        self.approximation(operands[0]).map(drop)
    }

    fn range(&self, operands: &[Operand<'_>], _: &Form, _: u32) -> Range {
        let curve = self.function.curve();
        Range::of(
            operands,
            operands[0].range.each(|i| {
                let (a, b) = (curve.of(i.low), curve.of(i.high));
                let [error, overshoot] = curve.error(a.abs().max(b.abs()));
                let error = error + 2.0 * ulp(self.frac_bits);
                Interval { low: a.min(b) - error, high: a.max(b) + error + overshoot }
            }),
        )
    }

    fn fixed(&self, _: Kernel, args: &Args<'_, u64>, place: &Place<'_>) -> Result<Batch<u64>> {
        let (curve, frac_bits) = (self.function.curve(), place.operands[0].frac_bits);
        let value = |&x: &u64| constant(curve.of(fixed::decode(x, frac_bits)), self.frac_bits);
        Ok(tensor(&args.shape, args.x().iter().map(value).collect::<Result<Vec<u64>>>()?))
    }

    fn secure(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        let (x, argument) = (operands[0].share(), place.operands[0]);
        let refuse = |reason| Error::model(&place.node.name, self.function.name(), reason);
        let value = match self.approximation(argument).map_err(refuse)? {
            Approximation::Power(exponent, octaves) => {
                power(party, x, exponent, octaves, argument.frac_bits, self.frac_bits)
            }
            Approximation::Piecewise(table, argument) => table.evaluate(party, x, argument, self.frac_bits),
        };
        value.map(Shared::Value)
    }

    fn comparisons(&self, operand: &Facts) -> u64 {
        self.approximation(operand).map_or(0, |approximation| match approximation {
            Approximation::Power(_, octaves) => u64::from(octaves.high - octaves.low),
            Approximation::Piecewise(table, _) => table.ends() as u64,
        })
    }
}

impl FixedFunction {
    fn approximation(&self, argument: &Facts) -> Result<Approximation, String> {
        match self.frac_bits {
            0..=MAX_RESULT_BITS => self.function.curve().approximation(argument),
            bits => Err(format!("has a result of {bits} fractional bits; at most {MAX_RESULT_BITS} are possible")),
        }
    }
}

impl Importer {
    /// A node that is a function and nothing else.
    pub(in crate::model) fn function_node(&mut self, node: &OnnxNode<'_>, function: Function) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let x = self.batch(node, 0)?;
        self.function(node, function, x)
    }

    /// A function of a value.
    pub(in crate::model) fn function(
        &mut self,
        node: &OnnxNode<'_>,
        function: Function,
        x: ValueId,
    ) -> Result<ValueId> {
        self.push(node, FloatOp::Function(function), &[x])
    }
}
