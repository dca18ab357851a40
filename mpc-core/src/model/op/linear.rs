//! Operations that move and add elements independently of their values. They are linear, so they act on numbers and on
//! the components of shares alike.

use ndarray::{ArcArray, ArrayViewD, IxDyn};

use super::operation::{Args, Operation, Place, RingOperation, Shared};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::model::bounds::{Interval, Operand, Range};
use crate::model::form::Form;
use crate::party::Party;
use crate::ring::Tensor;
use crate::sharing::{ArithmeticShare, Share};

/// A tensor with the batch dimension first.
pub(crate) type Batch<T> = ArcArray<T, IxDyn>;

/// The elements of tensors.
pub(crate) trait Element: Copy + Default + Send + Sync + 'static {
    /// The sum; modulo 2^64 for words.
    fn plus(self, other: Self) -> Self;

    /// The difference; likewise.
    fn minus(self, other: Self) -> Self;
}

impl Element for f64 {
    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn minus(self, other: Self) -> Self {
        self - other
    }
}

impl Element for u64 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
}

/// A linear operation. Its operands have the same fractional bits, which are those of the result.
pub(super) trait Linear {
    /// As [`Operation::name`].
    fn name(&self) -> &'static str;

    /// As [`Operation::form`].
    fn form(&self, operands: &[Form]) -> Result<Form, String>;

    /// The intervals of the result, whose form is `form`.
    fn intervals(&self, operands: &[Operand<'_>], form: &Form) -> Vec<Interval>;

    /// The result, on operands that [`form`](Linear::form) accepts.
    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T>;
}

impl<L: Linear> Operation for L {
    fn name(&self) -> &'static str {
        Linear::name(self)
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        Linear::form(self, operands)
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        self.apply(args)
    }
}

impl<L: Linear> RingOperation for L {
    fn real(&self) -> &dyn Operation {
        self
    }

    fn frac_bits(&self, operands: &[u32]) -> Result<u32, String> {
        match operands.iter().find(|&&bits| bits != operands[0]) {
            Some(other) => Err(format!("operands have {} and {other} fractional bits", operands[0])),
            None => Ok(operands[0]),
        }
    }

    fn range(&self, operands: &[Operand<'_>], form: &Form, _: u32) -> Range {
        Range::of(operands, self.intervals(operands, form))
    }

    fn fixed(&self, _: Kernel, args: &Args<'_, u64>, _: &Place<'_>) -> Result<Batch<u64>> {
        Ok(self.apply(args))
    }

    fn secure(&self, _: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        let component = |component: fn(&ArithmeticShare) -> &Tensor<u64>| {
            self.apply(&place.args(operands.iter().map(|x| component(x.share()))))
        };
        Ok(Shared::Value(Share::new(component(Share::own), component(Share::next))))
    }
}

/// `x`, a batch or the same for all samples, repeated to `shape`, its batch dimension first.
pub(super) fn broadcast<T: Element>(x: &Batch<T>, batched: bool, shape: &[usize]) -> Batch<T> {
    if x.shape() == shape {
        return x.clone();
    }
    let mut aligned = x.shape().to_vec();
    while batched && aligned.len() < shape.len() {
        aligned.insert(1, 1);
    }
    let x = x.clone().into_shape_with_order(IxDyn(&aligned)).expect("as many elements");
    standard(x.broadcast(IxDyn(shape)).expect("shapes that broadcast"))
}

/// The elements in row-major order.
pub(super) fn standard<T: Element>(view: ArrayViewD<'_, T>) -> Batch<T> {
    view.as_standard_layout().into_owned().into_shared()
}
