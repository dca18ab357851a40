//! Nodes that are computed at import: `Constant`, rearranged weights, and the arithmetic on shapes that exporters write
//! for `x.view(x.size(0), -1)`.

use ndarray::{ArrayD, Axis, IxDyn};

use super::node::OnnxNode;
use super::{Importer, Value, tensor};
use crate::error::Result;

/// Stands for the batch size in a shape. Reshape, its only reader here, takes it as "unchanged".
const BATCH: f64 = 0.0;

impl Importer {
    /// Nodes that compute a constant; `None` for all others.
    pub(super) fn constant_node(&self, node: &OnnxNode<'_>) -> Result<Option<Value>> {
        let op = node.proto.op_type.as_str();
        let operand = match (op, self.operand(node, 0)?) {
            ("Constant", _) => return self.constant_value(node).map(Some),
            ("Shape", Some(Value::Batch(x))) => {
                node.only_attributes(&[])?;
                let sizes = self.network.shape(*x).iter().map(|&size| size as f64);
                return Ok(Some(Value::Constant { value: vector(std::iter::once(BATCH).chain(sizes)), public: true }));
            }
            (_, Some(Value::Constant { value, public })) => (value, *public),
            _ => return Ok(None),
        };
        let (value, public) = operand;
        let value = match op {
            "Identity" => value.clone(),
            "Transpose" => self.transposed(node, value)?,
            "Gather" => self.gathered(node, value)?,
            "Unsqueeze" if value.ndim() == 0 => vector(value.iter().copied()),
            "Concat" => {
                let parts: Result<Vec<&ArrayD<f64>>> =
                    (0..node.proto.input.len()).map(|index| self.required(node, index)).collect();
                let parts = parts?;
                if parts.iter().any(|part| part.ndim() != 1) {
                    return Err(node.error("joins constants that are not vectors; export with constant folding"));
                }
                vector(parts.into_iter().flatten().copied())
            }
            _ => return Ok(None),
        };
        Ok(Some(Value::Constant { value, public }))
    }

    fn transposed(&self, node: &OnnxNode<'_>, value: &ArrayD<f64>) -> Result<ArrayD<f64>> {
        let perm = match node.ints("perm") {
            Some(perm) => self.axes(node, perm, value.ndim())?,
            None => (0..value.ndim()).rev().collect(),
        };
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..value.ndim()) {
            return Err(node.error(format!("perm {perm:?} does not permute {} dimensions", value.ndim())));
        }
        Ok(value.clone().permuted_axes(IxDyn(&perm)).as_standard_layout().into_owned())
    }

    /// One element of a vector.
    fn gathered(&self, node: &OnnxNode<'_>, value: &ArrayD<f64>) -> Result<ArrayD<f64>> {
        let index = self.required(node, 1)?;
        if value.ndim() != 1 || index.ndim() != 0 {
            return Err(node.error("is supported for one element of a shape only"));
        }
        let index = self.axes(node, &[index.sum() as i64], value.len())?[0];
        Ok(value.index_axis(Axis(0), index).to_owned())
    }

    fn constant_value(&self, node: &OnnxNode<'_>) -> Result<Value> {
        let scalar = |x: f64| ArrayD::from_elem(IxDyn(&[]), x);
        let [attribute] = &node.proto.attribute[..] else { return Err(node.error("expected one attribute")) };
        let value = match attribute.name.as_str() {
            "value" => {
                let proto = attribute.t.as_ref().ok_or_else(|| node.error("has no tensor"))?;
                tensor::decode(proto).map_err(|reason| node.error(reason))?
            }
            "value_float" => scalar(attribute.f.into()),
            "value_int" => scalar(attribute.i as f64),
            "value_floats" => vector(attribute.floats.iter().map(|&x| x.into())),
            "value_ints" => vector(attribute.ints.iter().map(|&x| x as f64)),
            other => return Err(node.error(format!("attribute {other:?} is not supported"))),
        };
        Ok(Value::Constant { value, public: true })
    }
}

fn vector(elements: impl Iterator<Item = f64>) -> ArrayD<f64> {
    ndarray::Array1::from_iter(elements).into_dyn()
}
