//! Tensors of an ONNX file: real numbers, whatever type they are stored in.

use ndarray::{ArrayD, IxDyn};

use super::proto::TensorProto;
use crate::model::form::MAX_ELEMENTS;

const FLOAT: i32 = 1;
const INT32: i32 = 6;
const INT64: i32 = 7;
const DOUBLE: i32 = 11;

/// The elements of `tensor` as float64.
pub(super) fn decode(tensor: &TensorProto) -> Result<ArrayD<f64>, String> {
    if tensor.data_location != 0 {
        return Err("is stored in another file; save the model as a single file".into());
    }
    let shape: Vec<usize> = tensor.dims.iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect();
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MAX_ELEMENTS);
    let len = len.ok_or_else(|| format!("has more than {MAX_ELEMENTS} elements: shape {:?}", tensor.dims))?;
    let raw = &tensor.raw_data;
    let elements: Vec<f64> = match tensor.data_type {
        FLOAT if raw.is_empty() => tensor.float_data.iter().map(|&x| x.into()).collect(),
        FLOAT => words(raw, |bytes| f32::from_le_bytes(bytes).into())?,
        DOUBLE if raw.is_empty() => tensor.double_data.clone(),
        DOUBLE => words(raw, f64::from_le_bytes)?,
        INT64 if raw.is_empty() => tensor.int64_data.iter().map(|&x| x as f64).collect(),
        INT64 => words(raw, |bytes| i64::from_le_bytes(bytes) as f64)?,
        INT32 if raw.is_empty() => tensor.int32_data.iter().map(|&x| x.into()).collect(),
        INT32 => words(raw, |bytes| i32::from_le_bytes(bytes).into())?,
        other => return Err(format!("has element type {other}; float32, float64, int32 and int64 are supported")),
    };
    if elements.len() != len {
        return Err(format!("has {} elements, but its shape {shape:?} needs {len}", elements.len()));
    }
    Ok(ArrayD::from_shape_vec(IxDyn(&shape), elements).expect("as many elements as the shape says"))
}

fn words<const N: usize>(raw: &[u8], word: impl Fn([u8; N]) -> f64) -> Result<Vec<f64>, String> {
    let (words, rest) = raw.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(format!("has {} bytes, no multiple of {N}", raw.len()));
    }
    Ok(words.iter().map(|&bytes| word(bytes)).collect())
}
