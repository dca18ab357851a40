//! Shapes and their checks. They come from untrusted files: nothing here overflows or panics.

use std::fmt;

/// Most dimensions of a tensor, without the batch.
const MAX_RANK: usize = 8;

/// Most elements of a tensor (a weight, or one sample of a value).
pub(crate) const MAX_ELEMENTS: usize = 1 << 26;

/// The shape of a value, and whether there is one for each sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub shape: Vec<usize>,
    pub batched: bool,
}

impl Form {
    /// A value of this shape per sample.
    pub(crate) fn batched(shape: Vec<usize>) -> Self {
        Self { shape, batched: true }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.shape, if self.batched { " per sample" } else { "" })
    }
}

/// Refuses shapes with too many dimensions or elements, or none.
pub(crate) fn check_size(shape: &[usize]) -> Result<(), String> {
    let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
    match elements {
        _ if shape.len() > MAX_RANK => Err(format!("has {} dimensions; at most {MAX_RANK} are supported", shape.len())),
        0 => Err(format!("has no elements: shape {shape:?}")),
        1..=MAX_ELEMENTS => Ok(()),
        _ => Err(format!("has more than {MAX_ELEMENTS} elements: shape {shape:?}")),
    }
}

/// Refuses a constant that is infinite or not a number.
pub(crate) fn check_finite(constant: f64) -> Result<(), String> {
    if constant.is_finite() { Ok(()) } else { Err("has a constant that is not a number".into()) }
}

/// The operands of an operation that takes N.
pub(crate) fn exactly<const N: usize>(operands: &[Form]) -> Result<&[Form; N], String> {
    operands.try_into().map_err(|_| format!("cannot take {} operands", operands.len()))
}

/// The operand of an operation that takes one value.
pub(crate) fn value(operands: &[Form]) -> Result<&Form, String> {
    exactly(operands).map(|[x]| x)
}

/// The common shape of two, aligned at the last dimension.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (size(a, i), size(b, i)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        })
        .collect()
}
