//! Arrays in NumPy's `.npy` format, as far as calibration samples need it: little-endian float32 or float64, row-major.

use ndarray::{ArrayD, IxDyn};

use crate::error::{Error, Result};

/// The array that `bytes` hold.
///
/// # Errors
/// [`Error::Invalid`] where it is of another type or layout, cut or longer than it says.
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
    let elements: Vec<f64> = match field("descr")?.get(..5)? {
        "'<f4'" => data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
        "'<f8'" => data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
        _ => return None,
    };
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    let width = if header.contains("<f4") { 4 } else { 8 };
    let whole = len.checked_mul(width) == Some(data.len());
    whole.then(|| ArrayD::from_shape_vec(IxDyn(&shape), elements).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_writes_and_refuses_the_rest() {
        let mut file = b"\x93NUMPY\x01\x00\x46\x00".to_vec();
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
        file.extend(format!("{header:69}\n").bytes());
        file.extend([1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()));
        assert_eq!(read(&file).unwrap(), ndarray::arr2(&[[1.5, -2.0]]).into_dyn());
        (0..file.len()).for_each(|cut| assert!(read(&file[..cut]).is_err(), "cut at {cut}"));
    }
}
