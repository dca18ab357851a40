//! Arrays in NumPy's `.npy` format, as far as calibration samples need it: little-endian float32 or float64, row-major.

use ndarray::{ArrayD, IxDyn};

use crate::error::{Error, Result};

/// The array in `bytes`.
///
/// # Errors
/// [`Error::Invalid`] where the array has another type or layout, or the file another length.
pub(super) fn read(bytes: &[u8]) -> Result<ArrayD<f64>> {
    parse(bytes).ok_or_else(|| {
        let reason = "is not a row-major float32 or float64 .npy array; save it with numpy.save(.., x.astype('<f4'))";
        Error::invalid(super::CALIBRATION_FILE, reason)
    })
}

fn parse(bytes: &[u8]) -> Option<ArrayD<f64>> {
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00")?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (header, data) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
    let header = std::str::from_utf8(header).ok()?;
    let field = |name: &str| header.split_once(&format!("'{name}':")).map(|(_, rest)| rest.trim_start());
    if !field("fortran_order")?.starts_with("False") {
        return None;
    }
    let shape = field("shape")?.strip_prefix('(')?.split_once(')')?.0;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<usize> = sizes.map(|size| size.parse().ok()).collect::<Option<_>>()?;
    let (elements, rest): (Vec<f64>, &[u8]) = match field("descr")?.get(..5)? {
        "'<f4'" => {
            let (numbers, rest) = data.as_chunks();
            (numbers.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(), rest)
        }
        "'<f8'" => {
            let (numbers, rest) = data.as_chunks();
            (numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(), rest)
        }
        _ => return None,
    };
    // Memory follows the bytes that are there; a shape for any other number of elements is an error.
    rest.is_empty().then(|| ArrayD::from_shape_vec(IxDyn(&shape), elements).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_writes_and_refuses_the_rest() {
        let file = |shape: &str| {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            let numbers = [1.5f32, -2.0].map(f32::to_le_bytes).concat();
            [b"\x93NUMPY\x01\x00\x76\x00", format!("{header:117}\n").as_bytes(), &numbers].concat()
        };
        let good = file("(1, 2)");
        assert_eq!(read(&good).unwrap(), ndarray::arr2(&[[1.5, -2.0]]).into_dyn());
        (0..good.len()).for_each(|cut| assert!(read(&good[..cut]).is_err(), "cut at {cut}"));
        for lie in ["(3, 1)", "(4611686018427387904, 4)", "(9223372036854775808, 2)", "(99999999999999999999,)"] {
            assert!(read(&file(lie)).is_err(), "shape {lie}");
        }
    }
}
