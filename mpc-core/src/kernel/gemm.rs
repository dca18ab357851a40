//! Matrix products over Z_2^64.

use super::Kernel;

impl Kernel {
    /// `c += a * b` modulo 2^64: a is m x k, b is k x n, c is m x n, all row-major.
    ///
    /// # Panics
    /// If a slice is not as long as its shape says.
    pub fn gemm(self, [m, k, n]: [usize; 3], a: &[u64], b: &[u64], c: &mut [u64]) {
        assert_eq!([a.len(), b.len(), c.len()], [m * k, k * n, m * n]);
        for i in 0..m {
            let row = &mut c[i * n..][..n];
            for (l, b) in b.chunks_exact(n.max(1)).enumerate() {
                let a = a[i * k + l];
                row.iter_mut().zip(b).for_each(|(c, &b)| *c = c.wrapping_add(a.wrapping_mul(b)));
            }
        }
    }
}
