//! Local computation on words, whatever they stand for.
//!
//! Every kernel exists in plain Rust and, on x86-64, for AVX2 and AVX-512; [`Kernel::detect`] chooses at run time, and
//! the tests hold every variant against an independent reference. All take whole tensors as row-major slices, and
//! neither time nor memory accesses depend on their contents.
//!
//! The bodies are written once: `Kernel::run` compiles one for each instruction set and leaves the vectors to the
//! compiler. Only where that falls far behind are there intrinsics: register tiles of the matrix product (`tile`), sums
//! of subsets (`subset`), transposes, and a few planes of bits.

#![allow(unsafe_code)]

mod bits;
mod conv;
pub mod extension;
mod gemm;
#[cfg(feature = "testing")]
pub(crate) mod small;
mod subset;
mod tile;
pub(crate) mod transpose;
mod wiping;

use std::fmt;

pub use conv::ConvGeometry;
pub use wiping::{WipingAllocator, wipe_stack};

/// The instruction set that the kernels use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust, on every machine.
    Scalar,
    /// 256-bit vectors and carry-less products.
    #[cfg(target_arch = "x86_64")]
    Avx2(Detected),
    /// 512-bit vectors with 64-bit products.
    #[cfg(target_arch = "x86_64")]
    Avx512(Detected),
}

/// Evidence that this machine has the instructions; only [`Kernel::available`] makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected(());

impl Kernel {
    /// The kernels that this process computes with, the best that its machine has. Every computation asks here, and
    /// only tests have others.
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Kernel::Scalar)
    }

    /// All kernels that this machine can run, slowest first.
    pub fn available() -> Vec<Self> {
        [vec![Kernel::Scalar], Self::vectorised()].concat()
    }

    #[cfg(target_arch = "x86_64")]
    fn vectorised() -> Vec<Self> {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("pclmulqdq");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        let kernels = [(avx2, Kernel::Avx2(Detected(()))), (avx512, Kernel::Avx512(Detected(())))];
        kernels.into_iter().filter_map(|(detected, kernel)| detected.then_some(kernel)).collect()
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn vectorised() -> Vec<Self> {
        Vec::new()
    }

    /// At most 256-bit vectors: with more, the compiler moves single words by gather and scatter, which takes twice as
    /// long.
    fn narrow(self) -> Self {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(detected) => Kernel::Avx2(detected),
            other => other,
        }
    }

    /// Runs `body` compiled for this instruction set. That reaches only what is inlined into it, so mark `body` and
    /// what it calls `#[inline(always)]`.
    #[inline(always)]
    fn run<R>(self, body: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,pclmulqdq")]
            fn avx2<R>(body: impl FnOnce() -> R) -> R {
                body()
            }
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,pclmulqdq")]
            fn avx512<R>(body: impl FnOnce() -> R) -> R {
                body()
            }
            match self {
                Kernel::Scalar => {}
                // SAFETY: `Detected` exists only where the machine has both features.
                Kernel::Avx2(Detected(())) => return unsafe { avx2(body) },
                // SAFETY: as above, for those two and all four of AVX-512.
                Kernel::Avx512(Detected(())) => return unsafe { avx512(body) },
            }
        }
        body()
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kernel::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(_) => "avx512",
        })
    }
}
