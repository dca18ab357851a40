//! Shapes and fractional bits of results from those of the operands. Takes numbers from untrusted files: nothing here
//! overflows or panics.

use std::fmt;

use super::graph::{Op, PoolGeometry};
use crate::kernel::ConvGeometry;

/// Most dimensions of a tensor, without the batch.
const MAX_RANK: usize = 8;

/// Most elements of a tensor (a weight, or one sample of a value).
pub(super) const MAX_ELEMENTS: usize = 1 << 26;

/// What follows from the operation alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub shape: Vec<usize>,
    pub batched: bool,
    pub frac_bits: u32,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = if self.batched { " per sample" } else { "" };
        write!(f, "{:?}{each} with {} fractional bits", self.shape, self.frac_bits)
    }
}

/// Refuses shapes with too many dimensions or elements, or none.
pub(super) fn check_size(shape: &[usize]) -> Result<(), String> {
    let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
    match elements {
        _ if shape.len() > MAX_RANK => Err(format!("has {} dimensions; at most {MAX_RANK} are supported", shape.len())),
        0 => Err(format!("has no elements: shape {shape:?}")),
        1..=MAX_ELEMENTS => Ok(()),
        _ => Err(format!("has more than {MAX_ELEMENTS} elements: shape {shape:?}")),
    }
}

/// The form of the result of `op` on operands of these forms. `Input` and `Weight` are not derived but declared.
pub(super) fn infer(op: &Op, operands: &[Form]) -> Result<Form, String> {
    let form = match (op, operands) {
        (Op::Conv(geometry), [x, w]) => conv(geometry, x, w)?,
        (Op::MatMul, [x, w]) => matmul(x, w)?,
        (Op::Add | Op::Sub, [x, y]) if x.frac_bits == y.frac_bits => elementwise(x, y, x.frac_bits)?,
        (Op::Add | Op::Sub, [x, y]) => {
            return Err(format!("operands have {} and {} fractional bits", x.frac_bits, y.frac_bits));
        }
        (Op::Mul, [x, y]) => elementwise(x, y, x.frac_bits.saturating_add(y.frac_bits))?,
        (Op::Concat { axis }, [_, ..]) => concat(*axis, operands)?,
        (op, [x]) => unary(op, x)?,
        _ => return Err(format!("cannot take {} operands", operands.len())),
    };
    check_size(&form.shape)?;
    Ok(form)
}

fn unary(op: &Op, x: &Form) -> Result<Form, String> {
    let with_shape = |shape: Vec<usize>| Form { shape, ..x.clone() };
    let with_frac = |frac_bits: Option<u32>| {
        let frac_bits = frac_bits.ok_or("drops more fractional bits than there are")?;
        Ok::<_, String>(Form { frac_bits, ..x.clone() })
    };
    let finite = |value: f64| if value.is_finite() { Ok(()) } else { Err("has a constant that is not a number") };
    if !x.batched {
        return Err("is applied to a weight; export the model with constant folding".into());
    }
    Ok(match op {
        Op::Scale { factor, frac_bits } => {
            finite(*factor)?;
            with_frac(x.frac_bits.checked_add(*frac_bits))?
        }
        Op::Offset { constant } => {
            finite(*constant)?;
            x.clone()
        }
        Op::Rescale { bits } => with_frac(x.frac_bits.checked_sub(*bits))?,
        Op::Relu { rescale, ceiling } => {
            finite(ceiling.unwrap_or(0.0))?;
            with_frac(x.frac_bits.checked_sub(*rescale))?
        }
        Op::Function { frac_bits, .. } => with_frac(Some(*frac_bits))?,
        Op::MaxPool(geometry) | Op::SumPool(geometry) => {
            let [channels, h, w] = x.shape[..] else { return Err(format!("cannot pool shape {:?}", x.shape)) };
            let [oh, ow] = check_pool(geometry, [h, w])?;
            // A window is gathered element by element.
            check_size(&[channels, oh, ow, geometry.kernel[0], geometry.kernel[1]])?;
            with_shape(vec![channels, oh, ow])
        }
        Op::ReduceSum { axes } => {
            if !axes.is_sorted() || axes.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(format!("axes {axes:?} are not ascending"));
            }
            if axes.iter().any(|&axis| axis >= x.shape.len()) {
                return Err(format!("axes {axes:?} are not all in shape {:?}", x.shape));
            }
            let kept = x.shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
            with_shape(kept.map(|(_, &size)| size).collect())
        }
        Op::Reshape { shape } => {
            check_size(shape)?;
            if shape.iter().product::<usize>() != x.shape.iter().product() {
                return Err(format!("cannot make {shape:?} of {:?}", x.shape));
            }
            with_shape(shape.clone())
        }
        Op::Transpose { perm } => {
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..x.shape.len()) {
                return Err(format!("{perm:?} does not permute the dimensions of {:?}", x.shape));
            }
            with_shape(perm.iter().map(|&axis| x.shape[axis]).collect())
        }
        Op::Pad { begin, end } => {
            if begin.len() != x.shape.len() || end.len() != x.shape.len() {
                return Err(format!("has not one padding for each dimension of {:?}", x.shape));
            }
            let padded = x.shape.iter().zip(begin).zip(end);
            with_shape(padded.map(|((&size, &a), &b)| size.saturating_add(a).saturating_add(b)).collect())
        }
        Op::SumWindows { max } => {
            if *max == 0 || *max > MAX_WINDOWS {
                return Err(format!("allows {max} windows; 1 to {MAX_WINDOWS} are possible"));
            }
            x.clone()
        }
        _ => return Err("cannot take one operand".into()),
    })
}

/// Most windows of one input.
const MAX_WINDOWS: u32 = 1 << 16;

fn conv(g: &ConvGeometry, x: &Form, w: &Form) -> Result<Form, String> {
    if !x.batched || w.batched {
        return Err("takes a value and a weight".into());
    }
    g.validate().map_err(|error| error.to_string())?;
    let [oh, ow] = g.output();
    let input = [g.in_channels, g.input[0], g.input[1]];
    let kernel = [g.out_channels, g.in_channels / g.groups, g.kernel[0], g.kernel[1]];
    if x.shape != input || w.shape != kernel {
        let (x, w) = (&x.shape, &w.shape);
        return Err(format!("expects input {input:?} and kernel {kernel:?}, got {x:?} and {w:?}"));
    }
    let frac_bits = x.frac_bits.saturating_add(w.frac_bits);
    Ok(Form { shape: vec![g.out_channels, oh, ow], batched: true, frac_bits })
}

fn matmul(x: &Form, w: &Form) -> Result<Form, String> {
    if !x.batched || w.batched {
        return Err("takes a value and a weight; a product of two values is not supported".into());
    }
    match (x.shape.split_last(), w.shape.as_slice()) {
        (Some((k, rows)), [l, n]) if k == l && rows.len() <= 1 => {
            let shape = rows.iter().copied().chain([*n]).collect();
            Ok(Form { shape, batched: true, frac_bits: x.frac_bits.saturating_add(w.frac_bits) })
        }
        _ => Err(format!("cannot multiply {:?} per sample by {:?}", x.shape, w.shape)),
    }
}

fn elementwise(x: &Form, y: &Form, frac_bits: u32) -> Result<Form, String> {
    let shape = broadcast(&x.shape, &y.shape)
        .ok_or_else(|| format!("shapes {:?} and {:?} do not broadcast", x.shape, y.shape))?;
    if !x.batched && !y.batched {
        return Err("is applied to weights only; export the model with constant folding".into());
    }
    Ok(Form { shape, batched: true, frac_bits })
}

/// The common shape of two, aligned at the last dimension.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
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

fn concat(axis: usize, operands: &[Form]) -> Result<Form, String> {
    let first = &operands[0];
    let mut joined = first.shape.clone();
    let total = joined.get_mut(axis).ok_or_else(|| format!("there is no dimension {axis} in {:?}", first.shape))?;
    *total = 0;
    for operand in operands {
        let same = operand.shape.len() == first.shape.len()
            && (0..first.shape.len()).all(|d| d == axis || operand.shape[d] == first.shape[d]);
        if !same || !operand.batched || operand.frac_bits != first.frac_bits {
            return Err(format!("cannot join {first} and {operand} along dimension {axis}"));
        }
        *total = total.saturating_add(operand.shape[axis]);
    }
    Ok(Form { shape: joined, ..first.clone() })
}

/// Output size of a pool over `input`, if there is one. Windows lie at least partly inside: padding is smaller.
pub(super) fn check_pool(g: &PoolGeometry, input: [usize; 2]) -> Result<[usize; 2], String> {
    let size = |d: usize| {
        let inside = g.pad_begin[d] < g.kernel[d] && g.pad_end[d] < g.kernel[d];
        inside.then(|| steps(g.input[d], g.kernel[d], g.stride[d], g.pad_begin[d], g.pad_end[d])).flatten()
    };
    match (size(0), size(1)) {
        (Some(h), Some(w)) if g.input == input => Ok([h, w]),
        _ => Err(format!("window {:?} does not fit input {input:?} with its padding", g.kernel)),
    }
}

fn steps(input: usize, reach: usize, stride: usize, begin: usize, end: usize) -> Option<usize> {
    let room = input.checked_add(begin)?.checked_add(end)?.checked_sub(reach)?;
    (reach > 0).then_some(room.checked_div(stride)?.checked_add(1)?)
}
