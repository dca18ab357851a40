//! The product with a public number.

use serde::{Deserialize, Serialize};

use super::linear::Batch;
use super::{Args, FloatOperation, Op, Operation, Place, RingOperation, Shared, constant};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::model::bounds::{Operand, Range};
use crate::model::form::{self, Form};
use crate::model::graph::{MAX_BITS, ValueId};
use crate::model::passes::Quantizer;
use crate::party::Party;

/// Product of each element with a public number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// The number.
    pub factor: f64,
}

/// Product with the public round(factor * 2^frac_bits); fractional bits add up. Free where that integer is 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FixedScale {
    /// What it means.
    pub real: Scale,
    /// Fractional bits that the factor is encoded with.
    pub frac_bits: u32,
}

impl Operation for Scale {
    fn name(&self) -> &'static str {
        "Scale"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let x = form::value(operands)?;
        form::check_finite(self.factor)?;
        Ok(x.clone())
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        args.x().mapv(|x| x * self.factor).into_shared()
    }
}

impl FloatOperation for Scale {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = quantizer.operands(inputs)?;
        let scale = FixedScale { real: *self, frac_bits: factor_frac_bits(self.factor) };
        quantizer.product(name, Op::Scale(scale), &operands)
    }
}

impl RingOperation for FixedScale {
    fn real(&self) -> &dyn Operation {
        &self.real
    }

    fn frac_bits(&self, operands: &[u32]) -> Result<u32, String> {
        operands[0].checked_add(self.frac_bits).ok_or_else(|| "has more fractional bits than there are".into())
    }

    fn range(&self, operands: &[Operand<'_>], _: &Form, _: u32) -> Range {
        let unit = f64::from(self.frac_bits).exp2();
        Range::of(operands, operands[0].range.each(|i| i.scale((self.real.factor * unit).round() / unit)))
    }

    fn fixed(&self, _: Kernel, args: &Args<'_, u64>, _: &Place<'_>) -> Result<Batch<u64>> {
        let factor = constant(self.real.factor, self.frac_bits)?;
        Ok(args.x().mapv(|x| x.wrapping_mul(factor)).into_shared())
    }

    fn secure(&self, _: &mut Party, operands: &[&Shared], _: &Place<'_>) -> Result<Shared> {
        let x = operands[0].share();
        Ok(Shared::Value(match constant(self.real.factor, self.frac_bits)? {
            1 => x.clone(),
            factor => x.scale(factor),
        }))
    }
}

/// Significant bits of a public factor that is no power of two.
const FACTOR_BITS: i32 = 16;

/// Enough fractional bits for a public factor to keep its significant bits; as few as possible for a power of two.
fn factor_frac_bits(factor: f64) -> u32 {
    if factor == 0.0 {
        return 0;
    }
    let exponent = factor.abs().log2();
    let significant = if exponent.fract() == 0.0 { 0 } else { FACTOR_BITS - 1 };
    significant.saturating_sub(exponent.floor() as i32).clamp(0, MAX_BITS as i32) as u32
}
