//! The same elements in another shape.

use ndarray::IxDyn;
use serde::{Deserialize, Serialize};

use super::linear::{Batch, Element, Linear};
use super::{Args, FloatOperation, Op};
use crate::error::Result;
use crate::model::bounds::{Interval, Operand};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::passes::Quantizer;

/// The elements of a sample in another shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshape {
    /// That shape, per sample.
    pub shape: Vec<usize>,
}

impl Linear for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let x = form::value(operands)?;
        form::check_size(&self.shape)?;
        if self.shape.iter().product::<usize>() != x.shape.iter().product() {
            return Err(format!("cannot make {:?} of {:?}", self.shape, x.shape));
        }
        Ok(Form::batched(self.shape.clone()))
    }

    fn intervals(&self, operands: &[Operand<'_>], form: &Form) -> Vec<Interval> {
        operands[0].reshaped(&form.shape)
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        args.x().clone().into_shape_with_order(IxDyn(&args.shape)).expect("as many elements")
    }
}

impl FloatOperation for Reshape {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        quantizer.unary(name, Op::Reshape(self.clone()), inputs)
    }
}
