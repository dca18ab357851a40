//! The last node of a classifier.

use super::node::OnnxNode;
use super::{Importer, Value};
use crate::error::Result;
use crate::model::graph::ValueId;

impl Importer {
    /// Whether what this Softmax computes only serves to order the scores of each row of classes.
    pub(in crate::model) fn orders_labels(&self, node: &OnnxNode<'_>) -> bool {
        let rows = |x: &Value| matches!(x, Value::Batch(x) if self.network.shape(*x).len() == 1);
        self.is_last(node) && self.operand(node, 0).ok().flatten().is_some_and(rows)
    }

    fn is_last(&self, node: &OnnxNode<'_>) -> bool {
        node.proto.output.first().is_some_and(|output| self.tail.contains(output))
    }

    /// Softmax and ArgMax over the classes: the label is taken from the scores, whose order they keep.
    pub(in crate::model) fn label_order(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axis", "keepdims", "select_last_index"])?;
        let x = self.batch(node, 0)?;
        let default = if node.proto.op_type == "ArgMax" { 0 } else { 1 };
        let over_classes = self.network.shape(x).len() == 1 && matches!(node.int("axis", default), 1 | -1);
        if !over_classes || !self.is_last(node) || node.int("select_last_index", 0) != 0 {
            return Err(node.error("is supported only at the end, over the classes of a [batch, classes] value"));
        }
        Ok(x)
    }
}
