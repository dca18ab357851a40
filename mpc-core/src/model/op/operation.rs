//! What the file of an operation provides, and the arguments of its functions.

use super::Pool;
use super::linear::{Batch, Element, broadcast};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::link::round::Round;
use crate::model::bounds::{Operand, Range};
use crate::model::form::{self, Form};
use crate::model::graph::{Facts, Graph, Node, ValueId};
use crate::model::passes::Quantizer;
use crate::party::Party;
use crate::protocol::product::PendingLinear;
use crate::protocol::winner::Levels;
use crate::session::Conditions;
use crate::sharing::ArithmeticShare;

/// The meaning of an operation over the real numbers.
pub(crate) trait Operation {
    /// Short name for messages.
    fn name(&self) -> &'static str;

    /// The form of the result, where one operand at least is a batch. Operands may come from an untrusted file: nothing
    /// overflows or panics.
    fn form(&self, operands: &[Form]) -> Result<Form, String>;

    /// The result in float64, on operands that [`form`](Operation::form) accepts.
    fn float(&self, args: &Args<'_, f64>) -> Batch<f64>;
}

impl dyn Operation + '_ {
    /// The form of the result, which is no larger than a tensor may be. Operands that are all the same for every sample
    /// count as one sample, and the result is the same for every sample too.
    pub(crate) fn checked_form(&self, operands: &[Form]) -> Result<Form, String> {
        let batched = operands.iter().any(|operand| operand.batched);
        let form = match batched {
            true => self.form(operands)?,
            false => {
                let samples: Vec<Form> = operands.iter().map(|operand| Form::batched(operand.shape.clone())).collect();
                Form { batched, ..self.form(&samples)? }
            }
        };
        form::check_size(&form.shape)?;
        Ok(form)
    }
}

/// An operation of a float graph.
pub(crate) trait FloatOperation: Operation {
    /// Places it in the ring graph, with whatever it needs before it: fractional bits and truncations are decided here.
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId>;
}

/// An operation of a ring graph.
pub(crate) trait RingOperation {
    /// The meaning over the real numbers.
    fn real(&self) -> &dyn Operation;

    /// Fractional bits of the result from those of the operands, of which there are as many as the form takes.
    fn frac_bits(&self, operands: &[u32]) -> Result<u32, String> {
        Ok(operands[0])
    }

    /// How many fractional bits it truncates; the operands must leave room for that.
    fn dropped(&self) -> u32 {
        0
    }

    /// Refuses operands that the operation cannot compute with, and constants that do not fit the ring.
    fn check(&self, operands: &[&Facts], frac_bits: u32) -> Result<(), String> {
        let _ = (operands, frac_bits);
        Ok(())
    }

    /// How large the result can get.
    fn range(&self, operands: &[Operand<'_>], form: &Form, frac_bits: u32) -> Range;

    /// The result in Z_2^64, in the clear: truncations round down and functions are rounded.
    fn fixed(&self, kernel: Kernel, args: &Args<'_, u64>, place: &Place<'_>) -> Result<Batch<u64>>;

    /// The result on shares.
    fn secure(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared>;

    /// The operation as a product that can share its round with others.
    fn product(&self) -> Option<&dyn Product> {
        None
    }

    /// The most comparisons that run at once, for each element of the result.
    fn comparisons(&self, operand: &Facts) -> u64 {
        let _ = operand;
        0
    }

    /// The fastest variant of node `id` of `graph` for so many samples.
    fn plan(&self, graph: &Graph, id: ValueId, samples: usize, conditions: Conditions) -> Option<Pool> {
        let _ = (graph, id, samples, conditions);
        None
    }
}

/// A product of two operands that takes one round.
pub(crate) trait Product {
    /// The first half, to share the round with others; the result has the elements of the product in their order. Each
    /// operand comes with whether it is a batch.
    fn send(&self, round: &mut Round<'_>, operands: [(&ArithmeticShare, bool); 2]) -> Result<PendingLinear>;
}

impl dyn Product + '_ {
    /// The product alone, in a round of its own.
    pub(crate) fn compute(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        let mut batched = place.batched();
        let [x, y] = [0, 1].map(|i| (operands[i].share(), batched.next().expect("two operands")));
        let product = party.round(|round| self.send(round, [x, y]))?;
        let sample = &place.node.facts.shape;
        let samples = product.len() / sample.iter().product::<usize>();
        Ok(Shared::Value(product.reshape(&[&[samples], &sample[..]].concat())))
    }
}

/// The tensors that an operation is applied to.
pub(crate) struct Args<'a, T> {
    /// Each operand, and whether it is a batch or the same for all samples.
    pub operands: Vec<(&'a Batch<T>, bool)>,
    /// The shape of the result, its batch dimension first, unless the operation sums windows.
    pub shape: Vec<usize>,
    /// How many consecutive samples are windows of each input.
    pub windows: &'a [u32],
}

impl<'a, T: Element> Args<'a, T> {
    /// For a result of shape `sample` per sample.
    pub(crate) fn new(operands: Vec<(&'a Batch<T>, bool)>, sample: &[usize], windows: &'a [u32]) -> Self {
        let batch = operands.iter().find(|(_, batched)| *batched).map_or(1, |(x, _)| x.shape()[0]);
        let shape = std::iter::once(batch).chain(sample.iter().copied()).collect();
        Self { operands, shape, windows }
    }

    /// The first operand.
    pub(crate) fn x(&self) -> &'a Batch<T> {
        self.operands[0].0
    }

    /// Both operands in the shape of the result.
    pub(crate) fn pair(&self) -> [Batch<T>; 2] {
        [0, 1].map(|i| broadcast(self.operands[i].0, self.operands[i].1, &self.shape))
    }
}

/// The place of an operation in a ring graph.
pub(crate) struct Place<'a> {
    pub graph: &'a Graph,
    pub node: &'a Node,
    pub operands: Vec<&'a Facts>,
    pub windows: &'a [u32],
    /// The planned variant, of an operation that has several.
    pub pool: Option<&'a Pool>,
}

impl Place<'_> {
    /// `operands` at this place.
    pub(crate) fn args<'t, T: Element>(&'t self, operands: impl IntoIterator<Item = &'t Batch<T>>) -> Args<'t, T> {
        Args::new(operands.into_iter().zip(self.batched()).collect(), &self.node.facts.shape, self.windows)
    }

    /// Whether each operand is a batch; of one sample, where all operands are the same for every sample.
    pub(crate) fn batched(&self) -> impl Iterator<Item = bool> {
        self.operands.iter().map(|facts| facts.batched || !self.node.facts.batched)
    }
}

/// What a node computes on shares.
#[derive(Clone)]
pub(crate) enum Shared {
    /// The value.
    Value(ArithmeticShare),
    /// The candidates of a max-pool, for the ReLU after it to find the maximum of.
    Candidates(Vec<ArithmeticShare>, Levels),
}

impl Shared {
    /// The value, which every operation but a ReLU works on.
    pub(crate) fn share(&self) -> &ArithmeticShare {
        match self {
            Shared::Value(x) => x,
            Shared::Candidates(..) => unreachable!("candidates are left to a ReLU"),
        }
    }
}
