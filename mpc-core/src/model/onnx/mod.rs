//! Import of ONNX files into a [`FloatGraph`]. A file may come from anybody: sizes and counts are limited, external
//! data is refused, and whatever is not understood is an error that names the node, its operator and the opset.
//!
//! ONNX tensors carry the batch dimension first; here it is implicit. Initializers become weights, which are secret.
//! Structure (shapes, strides, the ends of a Clip, `Constant` nodes with one element) is public.

mod arithmetic;
pub(super) mod axes;
mod constants;
mod functions;
mod labels;
mod node;
pub(crate) mod proto;
pub(super) mod sliding;
mod tensor;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use ndarray::ArrayD;
pub(super) use node::OnnxNode;
use prost::Message;
use proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

use super::float_graph::FloatGraph;
use super::graph::{MAX_NODES, ValueId};
use super::op::Function;
use crate::error::{Error, Result};

/// Largest file in bytes.
pub const MAX_FILE: usize = 256 << 20;

/// The opsets that the importer was written for.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=22;

/// A value of the file.
#[derive(Clone)]
pub(super) enum Value {
    /// Computed from the input.
    Batch(ValueId),
    /// Known at import.
    Constant {
        value: ArrayD<f64>,
        /// From a `Constant` node, so part of the structure; an initializer is a secret weight.
        public: bool,
    },
}

pub(super) struct Importer {
    pub(super) network: FloatGraph,
    values: HashMap<String, Value>,
    /// Batch size that the file was exported with, where it is not symbolic.
    pub(super) batch: Option<i64>,
    /// Outputs of the nodes after the scores, such as a Softmax, which keep their order.
    tail: HashSet<String>,
}

/// Reads a file whose input has the shape `input` per sample.
///
/// # Errors
/// [`Error::Model`] with the offending node, [`Error::Invalid`] where the file is not ONNX.
pub(super) fn import(bytes: &[u8], input: &[usize]) -> Result<FloatGraph> {
    let invalid = |reason: String| Error::invalid("ONNX file", reason);
    if bytes.len() > MAX_FILE {
        return Err(invalid(format!("is larger than {} MiB", MAX_FILE >> 20)));
    }
    let model = ModelProto::decode(bytes).map_err(|e| invalid(format!("cannot be read: {e}")))?;
    let opset = model.opset_import.iter().find(|opset| opset.domain.is_empty() || opset.domain == "ai.onnx");
    let opset = opset.map(|opset| opset.version).ok_or_else(|| invalid("states no opset".into()))?;
    if !OPSETS.contains(&opset) {
        let (first, last) = OPSETS.into_inner();
        return Err(invalid(format!("uses opset {opset}; export with an opset from {first} to {last}")));
    }
    let graph = model.graph.ok_or_else(|| invalid("has no graph".into()))?;
    if graph.node.len() > MAX_NODES || graph.initializer.len() > MAX_NODES {
        return Err(invalid(format!("has more than {MAX_NODES} nodes or initializers")));
    }
    let (mut importer, output) = Importer::new(&graph, input)?;
    for proto in live(&graph, output) {
        let name = if proto.name.is_empty() { proto.output.first().map_or("", String::as_str) } else { &proto.name };
        let node = OnnxNode { proto, name, opset };
        let value = importer.node(&node)?;
        let result = proto.output.first().ok_or_else(|| node.error("has no output"))?;
        importer.values.insert(result.clone(), value);
    }
    match importer.values.get(output) {
        Some(Value::Batch(id)) => importer.network.set_outputs(&[*id]),
        Some(Value::Constant { .. }) => return Err(invalid("has an output that does not depend on the input".into())),
        None => return Err(invalid(format!("does not compute its output {output:?}"))),
    }
    Ok(importer.network)
}

/// The nodes that the output needs, in the order of the file.
fn live<'a>(graph: &'a GraphProto, output: &'a str) -> Vec<&'a NodeProto> {
    let mut needed = HashSet::from([output]);
    let mut live = Vec::new();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|output| needed.contains(output.as_str())) {
            needed.extend(node.input.iter().map(String::as_str));
            live.push(node);
        }
    }
    live.reverse();
    live
}

/// Names of what the nodes compute that end the network and only order its scores.
fn tail(graph: &GraphProto, output: &str) -> HashSet<String> {
    const ENDS: [&str; 5] = ["Softmax", "LogSoftmax", "ArgMax", "Identity", "Dropout"];
    let mut tail = HashSet::new();
    let mut last = output;
    for node in graph.node.iter().rev().filter(|node| ENDS.contains(&node.op_type.as_str())) {
        if node.output.first().is_some_and(|output| output == last) {
            tail.insert(last.to_owned());
            last = node.input.first().map_or("", String::as_str);
        }
    }
    tail
}

impl Importer {
    fn new<'a>(graph: &'a GraphProto, shape: &[usize]) -> Result<(Self, &'a str)> {
        let invalid = |reason: String| Error::invalid("ONNX file", reason);
        let mut values = HashMap::new();
        for initializer in &graph.initializer {
            let value = tensor::decode(initializer).map_err(|e| Error::model(&initializer.name, "initializer", e))?;
            values.insert(initializer.name.clone(), Value::Constant { value, public: false });
        }
        // Old files list initializers among the inputs.
        let inputs: Vec<_> = graph.input.iter().filter(|input| !values.contains_key(&input.name)).collect();
        let ([input], [output]) = (&inputs[..], &graph.output[..]) else {
            let reason =
                format!("has {} inputs and {} outputs, expected one of each", inputs.len(), graph.output.len());
            return Err(invalid(reason));
        };
        let batch = check_input(input, shape)?;
        values.insert(input.name.clone(), Value::Batch(0));
        Ok((Self { network: FloatGraph::new(shape)?, values, batch, tail: tail(graph, &output.name) }, &output.name))
    }

    fn node(&mut self, node: &OnnxNode<'_>) -> Result<Value> {
        if !matches!(node.proto.domain.as_str(), "" | "ai.onnx") {
            return Err(node.error(format!("operators of the domain {:?} are not supported", node.proto.domain)));
        }
        if let Some(value) = self.constant_node(node)? {
            return Ok(value);
        }
        if let Some(function) = Function::of_onnx(&node.proto.op_type) {
            return self.function_node(node, function).map(Value::Batch);
        }
        let id = match node.proto.op_type.as_str() {
            "Conv" => self.conv(node),
            "MaxPool" => self.max_pool(node),
            "AveragePool" => self.average_pool(node),
            "GlobalAveragePool" => self.global_average_pool(node),
            "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceL2" => self.reduce(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "Add" | "Sub" | "Mul" | "Div" => self.elementwise(node),
            "BatchNormalization" => self.batch_norm(node),
            "Relu" => self.relu(node),
            "Clip" => self.clip(node),
            "LeakyRelu" => self.leaky_relu(node),
            "Pow" => self.pow(node),
            "HardSigmoid" => self.hard_sigmoid_node(node),
            "HardSwish" => self.hard_swish(node),
            "LpNormalization" => self.lp_normalization(node),
            "InstanceNormalization" => self.instance_normalization(node),
            "LayerNormalization" => self.layer_normalization(node),
            "Softmax" if !self.orders_labels(node) => self.softmax(node),
            "Softmax" | "LogSoftmax" | "ArgMax" => self.label_order(node),
            "Dropout" | "Identity" => self.batch(node, 0),
            "Flatten" => self.flatten(node),
            "Reshape" => self.reshape_node(node),
            "Squeeze" => self.squeeze(node),
            "Unsqueeze" => self.unsqueeze(node),
            "Transpose" => self.transpose(node),
            "Pad" => self.pad(node),
            "Concat" => self.concat(node),
            _ => Err(node.error(
                "is not supported; supported are Conv, Gemm, MatMul, Add, Sub, Mul, Div, Pow, Sqrt, Reciprocal, Exp, \
                 Sigmoid, Tanh, Erf, Relu, LeakyRelu, Clip, HardSigmoid, HardSwish, Softmax, BatchNormalization, \
                 InstanceNormalization, LayerNormalization, LpNormalization, MaxPool, AveragePool, GlobalAveragePool, \
                 ReduceSum, ReduceMean, ReduceMax, ReduceL2, Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Pad, \
                 Concat, Dropout, Identity, Constant, and LogSoftmax or ArgMax at the end: rewrite the model with these",
            )),
        }?;
        Ok(Value::Batch(id))
    }
}

/// Compares the shape that the file declares with the one it is used with; returns the batch size, if it is fixed.
fn check_input(input: &ValueInfoProto, shape: &[usize]) -> Result<Option<i64>> {
    let declared = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.shape.as_ref());
    let Some(declared) = declared else { return Ok(None) };
    let sizes: Vec<i64> = declared.dim.iter().map(|dim| dim.dim_value).collect();
    let agrees = |(&size, &expected): (&i64, &usize)| size <= 0 || usize::try_from(size) == Ok(expected);
    match sizes.split_first() {
        Some((&batch, sample)) if sample.len() == shape.len() && sample.iter().zip(shape).all(agrees) => {
            Ok((batch > 0).then_some(batch))
        }
        _ => {
            let reason =
                format!("has shape {sizes:?} (batch first, 0 for any), the manifest says {shape:?} per sample");
            Err(Error::model(&input.name, "Input", reason))
        }
    }
}
