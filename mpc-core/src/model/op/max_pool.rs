//! The largest element of every window.
//!
//! A maximum of many can be sought with few comparisons one after the other or with many at once, and the ReLU after
//! a pool can be a comparison of its own or one more candidate: the variants of a [`Pool`].

use std::fmt;

use ndarray::Zip;
use serde::{Deserialize, Serialize};

use super::linear::Batch;
use super::{Args, FloatOp, FloatOperation, Op, Operation, Place, PoolGeometry, RingOperation, Shared, Transpose};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::model::bounds::{Operand, Range};
use crate::model::form::Form;
use crate::model::graph::{Facts, Graph, Node, ValueId};
use crate::model::onnx::axes::kept;
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;
use crate::party::Party;
use crate::protocol::winner::Levels;
use crate::protocol::{pool, relu};
use crate::role::Role;
use crate::session::Conditions;
use crate::sharing::{ArithmeticShare, Share};

/// Largest element in every window of each channel; padding never wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool(pub PoolGeometry);

/// How a max-pool is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The search.
    pub levels: Levels,
    /// Whether the ReLU after it is made part of the last level.
    pub with_relu: bool,
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.levels, if self.with_relu { ", with the ReLU" } else { "" })
    }
}

/// Largest group of a window in which all pairs are compared, whatever the conditions, which P0 chooses: it bounds the
/// memory of a session.
const MAX_GROUP: usize = 9;

impl Operation for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        self.0.form(operands)
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        let max = |a: Batch<f64>, b: Batch<f64>| Zip::from(&a).and(&b).map_collect(|a, b| a.max(*b)).into_shared();
        self.0.gather(args.x(), f64::NEG_INFINITY).into_iter().reduce(max).expect("a window has elements")
    }
}

impl FloatOperation for MaxPool {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        quantizer.unary(name, Op::MaxPool(self.clone()), inputs)
    }
}

impl RingOperation for MaxPool {
    fn real(&self) -> &dyn Operation {
        self
    }

    fn range(&self, operands: &[Operand<'_>], _: &Form, _: u32) -> Range {
        operands[0].range.clone()
    }

    fn fixed(&self, _: Kernel, args: &Args<'_, u64>, _: &Place<'_>) -> Result<Batch<u64>> {
        let max = |a: Batch<u64>, b: Batch<u64>| {
            Zip::from(&a).and(&b).map_collect(|&a, &b| (a as i64).max(b as i64) as u64).into_shared()
        };
        let candidates = self.0.gather(args.x(), i64::MIN as u64);
        Ok(candidates.into_iter().reduce(max).expect("a window has elements"))
    }

    /// The maximum, or its candidates if the ReLU after it finds it.
    fn secure(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        let facts = place.operands[0];
        let candidates = candidates(party.role(), &self.0, operands[0].share(), facts);
        let plan = place.pool.expect("a plan for each max-pool");
        if plan.with_relu {
            return Ok(Shared::Candidates(candidates, plan.levels.clone()));
        }
        pool::max(party, &candidates, place.graph.width(facts), &plan.levels).map(Shared::Value)
    }

    fn comparisons(&self, _: &Facts) -> u64 {
        Levels::most_comparisons(self.0.window(), MAX_GROUP)
    }

    fn plan(&self, graph: &Graph, id: ValueId, samples: usize, conditions: Conditions) -> Option<Pool> {
        let node = &graph.nodes[id];
        let n = samples * node.facts.shape.iter().product::<usize>();
        let width = graph.width(&graph.nodes[node.inputs[0]].facts);
        let relu = relu_behind(graph, id);
        let options = Levels::options(self.0.window(), MAX_GROUP).flat_map(|levels| {
            let apart = Pool { levels: levels.clone(), with_relu: false };
            let with_relu = relu.map(|_| Pool { levels, with_relu: true });
            std::iter::once(apart).chain(with_relu)
        });
        let cost = |pool: &Pool| match (relu, pool.with_relu) {
            (Some(rescale), true) => pool::relu_cost(n, width, rescale, &pool.levels, u64::BITS),
            (Some(rescale), false) => {
                pool::cost(n, width, &pool.levels, u64::BITS) + relu::cost(n, width, rescale, u64::BITS)
            }
            (None, _) => pool::cost(n, width, &pool.levels, u64::BITS),
        };
        options.min_by_key(|pool| cost(pool).nanoseconds(conditions))
    }
}

/// The bits that a ReLU without ceiling drops, if it is the only user of the value at `id`.
fn relu_behind(graph: &Graph, id: ValueId) -> Option<u32> {
    let mut users = graph.nodes.iter().filter(|node| node.inputs.contains(&id));
    match (users.next(), users.next()) {
        (Some(Node { op: Op::Relu(relu), .. }), None)
            if !graph.outputs.contains(&id) && relu.real.ceiling.is_none() =>
        {
            Some(relu.rescale)
        }
        _ => None,
    }
}

/// The positions of all windows; padding holds the least value within the bound, as component 0.
fn candidates(role: Role, geometry: &PoolGeometry, x: &ArithmeticShare, facts: &Facts) -> Vec<ArithmeticShare> {
    let least = 0u64.wrapping_sub((1 << facts.bound.bits) - 1);
    let fill = |holds: bool| if holds { least } else { 0 };
    let own = geometry.gather(x.own(), fill(role == Role::P0));
    let next = geometry.gather(x.next(), fill(role.next() == Role::P0));
    own.into_iter().zip(next).map(|(own, next)| Share::new(own, next)).collect()
}

impl Importer {
    /// MaxPool.
    pub(in crate::model) fn max_pool(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        let known = ["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"];
        node.only_attributes(&known)?;
        if node.proto.output.iter().skip(1).any(|output| !output.is_empty()) {
            return Err(node.error("the indices of the maxima are not supported"));
        }
        let (x, sliding) = self.pooled(node)?;
        let geometry = sliding.pool(node)?;
        self.pool(node, FloatOp::MaxPool(MaxPool(geometry)), x)
    }

    /// Maximum over some dimensions of a sample, which become 1: a pool with one window over each row.
    pub(in crate::model) fn maximum(&mut self, node: &OnnxNode<'_>, x: ValueId, axes: &[usize]) -> Result<ValueId> {
        let shape = self.network.shape(x).to_vec();
        let perm: Vec<usize> = (0..shape.len()).filter(|d| !axes.contains(d)).chain(axes.iter().copied()).collect();
        let x = if perm.is_sorted() { x } else { self.push(node, FloatOp::Transpose(Transpose { perm }), &[x])? };
        let n: usize = axes.iter().map(|&axis| shape[axis]).product();
        let x = self.reshape(node, x, vec![shape.iter().product::<usize>() / n, 1, n])?;
        let row = PoolGeometry { input: [1, n], kernel: [1, n], stride: [1, 1], pad_begin: [0, 0], pad_end: [0, 0] };
        let max = self.push(node, FloatOp::MaxPool(MaxPool(row)), &[x])?;
        self.reshape(node, max, kept(&shape, axes))
    }
}
