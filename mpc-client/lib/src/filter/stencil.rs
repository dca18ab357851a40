//! The kernels of filters: named ones, and those that people write.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The kernel of a filter (called stencil, to differ from [`mpc_core::kernel`]): the factors of a pixel's neighbours,
/// 3x3 or 5x5, the rows from the top. They are not mirrored, as in other programs for pictures and in the convolutions
/// of networks.
#[derive(Clone, PartialEq)]
pub struct Stencil {
    pub(super) side: usize,
    pub(super) taps: Vec<f64>,
}

/// The largest magnitude of a number in a kernel: the same for all kernels, so that it reveals nothing about one.
pub(super) const RANGE: f64 = 128.0;

/// Name, numbers, and their common divisor.
const NAMED: [(&str, &[i16], f64); 9] = [
    ("sharpen", &[0, -1, 0, -1, 5, -1, 0, -1, 0], 1.0),
    ("blur", &[1, 2, 1, 2, 4, 2, 1, 2, 1], 16.0),
    ("mean", &[1, 1, 1, 1, 1, 1, 1, 1, 1], 9.0),
    ("edges", &[-1, -1, -1, -1, 8, -1, -1, -1, -1], 1.0),
    ("emboss", &[-2, -1, 0, -1, 1, 1, 0, 1, 2], 1.0),
    ("sobel-x", &[-1, 0, 1, -2, 0, 2, -1, 0, 1], 1.0),
    ("sobel-y", &[-1, -2, -1, 0, 0, 0, 1, 2, 1], 1.0),
    ("blur5", &[1, 4, 6, 4, 1, 4, 16, 24, 16, 4, 6, 24, 36, 24, 6, 4, 16, 24, 16, 4, 1, 4, 6, 4, 1], 256.0),
    (
        "sharpen5",
        &[-1, -4, -6, -4, -1, -4, -16, -24, -16, -4, -6, -24, 476, -24, -6, -4, -16, -24, -16, -4, -1, -4, -6, -4, -1],
        256.0,
    ),
];

impl Stencil {
    /// A kernel of 9 or 25 numbers, the rows from the top.
    ///
    /// # Errors
    /// [`Error::Usage`] on another count, and on a number that is not finite or beyond +-128.
    pub fn new(taps: Vec<f64>) -> Result<Self, Error> {
        let side = match taps.len() {
            9 => 3,
            25 => 5,
            n => return Err(Error::Usage(format!("a kernel has 9 numbers (3x3) or 25 (5x5), not {n}"))),
        };
        match taps.iter().find(|tap| tap.is_nan() || tap.abs() > RANGE) {
            Some(tap) => Err(Error::Usage(format!("the numbers of a kernel lie within +-{RANGE}, but {tap} does not"))),
            None => Ok(Self { side, taps }),
        }
    }

    /// The kernel of that name, if there is one.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (_, taps, divisor) = NAMED.into_iter().find(|(other, ..)| *other == name)?;
        Self::new(taps.iter().map(|&tap| f64::from(tap) / divisor).collect()).ok()
    }

    /// The names of the named kernels.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        NAMED.into_iter().map(|(name, ..)| name)
    }
}

impl FromStr for Stencil {
    type Err = Error;

    /// A name, or numbers separated by spaces, commas, semicolons or line ends.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(kernel) = Self::named(text) {
            return Ok(kernel);
        }
        let words = text.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|word| !word.is_empty());
        let number = |word: &str| {
            let names = || Self::names().collect::<Vec<_>>().join(", ");
            let unknown = |_| Error::Usage(format!("{word:?} is neither a number nor one of the kernels {}", names()));
            word.parse().map_err(unknown)
        };
        Self::new(words.map(number).collect::<Result<_, Error>>()?)
    }
}

impl fmt::Debug for Stencil {
    /// Prints the kernel without its numbers, which are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stencil({0}x{0})", self.side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_kernels_keep_or_drop_what_is_even() {
        for name in Stencil::names() {
            let kernel = Stencil::named(name).unwrap();
            let sum: f64 = kernel.taps.iter().sum();
            let expected = if ["edges", "sobel-x", "sobel-y"].contains(&name) { 0.0 } else { 1.0 };
            assert!((sum - expected).abs() < 1e-12, "{name}: {sum}");
            assert_eq!(kernel.taps.len(), kernel.side * kernel.side);
        }
        assert_eq!(Stencil::named("nothing"), None);
    }

    #[test]
    fn kernels_are_read_and_refused() {
        let kernel: Stencil = "0 -1 0\n-1 5 -1\r\n0, -1; 0\n".parse().unwrap();
        assert_eq!(kernel, "sharpen".parse().unwrap());
        assert_eq!(format!("{kernel:?}"), "Stencil(3x3)");
        let refused = |text: &str| text.parse::<Stencil>().unwrap_err().to_string();
        assert!(refused("1 2 3 4").contains("not 4"));
        assert!(refused("").contains("not 0"));
        assert!(refused("sharp").contains("sharpen, blur"));
        assert!(refused("1 2 3 4 x 6 7 8 9").contains("\"x\""));
        assert!(refused("1 2 3 4 NaN 6 7 8 9").contains("NaN"));
        assert!(refused("1 2 3 4 128.5 6 7 8 9").contains("128.5"));
    }
}
