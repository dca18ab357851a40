//! The sum of the windows that an input was cut into. Quantisation places it after the output of a network that takes
//! windows.

use ndarray::{Array, IxDyn};
use serde::{Deserialize, Serialize};

use super::Args;
use super::linear::{Batch, Element, Linear};
use crate::model::bounds::{Interval, Operand};
use crate::model::form::{self, Form};

/// Sums the samples that are windows of one input: the batch shrinks from windows to inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumWindows {
    /// Most windows that an input may have.
    pub max: u32,
}

/// Most windows of one input.
const MAX_WINDOWS: u32 = 1 << 16;

impl Linear for SumWindows {
    fn name(&self) -> &'static str {
        "SumWindows"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let x = form::value(operands)?;
        match self.max {
            1..=MAX_WINDOWS => Ok(x.clone()),
            max => Err(format!("allows {max} windows; 1 to {MAX_WINDOWS} are possible")),
        }
    }

    fn intervals(&self, operands: &[Operand<'_>], _: &Form) -> Vec<Interval> {
        operands[0].range.each(|i| i.hull(i.scale(f64::from(self.max))))
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        let (x, windows) = (args.x(), args.windows);
        if windows.iter().all(|&n| n == 1) {
            return x.clone();
        }
        let mut shape = x.shape().to_vec();
        shape[0] = windows.len();
        let mut sums = Array::from_elem(IxDyn(&shape), T::default());
        let mut samples = x.outer_iter();
        for (mut sum, &n) in sums.outer_iter_mut().zip(windows) {
            for sample in samples.by_ref().take(n as usize) {
                sum.zip_mut_with(&sample, |sum, &next| *sum = sum.plus(next));
            }
        }
        sums.into_shared()
    }
}
