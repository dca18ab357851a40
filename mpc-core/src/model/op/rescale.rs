//! Truncation. Quantisation places it where a value has more fractional bits than what follows can take.

use serde::{Deserialize, Serialize};

use super::linear::Batch;
use super::{Args, Operation, Place, RingOperation, Shared};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::model::bounds::{Operand, Range, truncation_error};
use crate::model::form::{self, Form};
use crate::model::graph::Facts;
use crate::party::Party;
use crate::protocol::truncate::truncate;

/// Drops `bits` fractional bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescale {
    /// The number of bits.
    pub bits: u32,
}

impl Operation for Rescale {
    fn name(&self) -> &'static str {
        "Rescale"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        form::value(operands).cloned()
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        args.x().clone()
    }
}

impl RingOperation for Rescale {
    fn real(&self) -> &dyn Operation {
        self
    }

    fn frac_bits(&self, operands: &[u32]) -> Result<u32, String> {
        operands[0].checked_sub(self.bits).ok_or_else(|| "drops more fractional bits than there are".into())
    }

    fn dropped(&self) -> u32 {
        self.bits
    }

    fn check(&self, _: &[&Facts], _: u32) -> Result<(), String> {
        if self.bits == 0 { Err("drops no bits".into()) } else { Ok(()) }
    }

    fn range(&self, operands: &[Operand<'_>], _: &Form, frac_bits: u32) -> Range {
        Range::of(operands, operands[0].range.each(|i| i.widen(truncation_error(frac_bits))))
    }

    fn fixed(&self, _: Kernel, args: &Args<'_, u64>, _: &Place<'_>) -> Result<Batch<u64>> {
        Ok(args.x().mapv(|x| (x as i64 >> self.bits) as u64).into_shared())
    }

    fn secure(&self, party: &mut Party, operands: &[&Shared], _: &Place<'_>) -> Result<Shared> {
        truncate(party, operands[0].share(), self.bits).map(Shared::Value)
    }
}
