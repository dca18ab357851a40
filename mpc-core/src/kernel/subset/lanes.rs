//! Vectors that run along the rows of a, so that all their lanes share the bits: the sixteen sums of four words are
//! made once for many rows side by side, and each column of bits adds one of them.

use crate::kernel::Kernel;
use crate::kernel::transpose::transpose_into;
use crate::ring::Word;

/// Words that are summed up at a time.
const GROUP: usize = 4;
/// Groups whose sums are held at a time: 16 kB, half of a first-level cache.
const GROUPS: usize = 8;
/// Words of a row in these groups.
const DEPTH: usize = GROUP * GROUPS;
/// Bytes of the words side by side.
pub(super) const BYTES: usize = 128;

/// The words of several rows side by side, a line for each column of the rows; and the sums of each group.
#[repr(align(64))]
struct Panel<W, const LANES: usize> {
    words: [[W; LANES]; DEPTH],
    sums: [[[W; LANES]; 1 << GROUP]; GROUPS],
}

/// `c += (a * b)^T` modulo 2^w, for a of m x k, b of k x n zeros and ones, and c of n x m. A line of LANES words has
/// [`BYTES`].
pub(super) fn add_sums<W: Word, const LANES: usize>(
    kernel: Kernel,
    [m, k, n]: [usize; 3],
    a: &[W],
    b: &[W],
    c: &mut [W],
) {
    let choices = kernel.run(
        #[inline(always)]
        || choose(b, n),
    );
    let mut panel = Panel { words: [[W::ZERO; LANES]; DEPTH], sums: [[[W::ZERO; LANES]; 1 << GROUP]; GROUPS] };
    let mut totals = vec![[W::ZERO; LANES]; n];
    for (tile, a) in a.chunks(LANES * k).enumerate() {
        totals.fill([W::ZERO; LANES]);
        for (block, choices) in choices.chunks_exact(n).enumerate() {
            panel.load(a, k, block * DEPTH);
            panel.add_chosen(kernel, choices, &mut totals);
        }
        kernel.run(
            #[inline(always)]
            || {
                for (c, total) in c.chunks_exact_mut(m).zip(&totals) {
                    add(&mut c[tile * LANES..], total);
                }
            },
        );
    }
}

#[inline(always)]
fn add<W: Word>(sums: &mut [W], words: &[W]) {
    sums.iter_mut().zip(words).for_each(|(sum, &word)| *sum = sum.wrapping_add(word));
}

/// For each block of [`DEPTH`] rows and each column, the bits of every group as one number.
#[inline(always)]
fn choose<W: Word>(b: &[W], n: usize) -> Vec<[u8; GROUPS]> {
    let mut choices = vec![[0; GROUPS]; b.len().div_ceil(DEPTH * n) * n];
    let mut numbers = vec![0u8; n];
    for (choices, rows) in choices.chunks_exact_mut(n).zip(b.chunks(DEPTH * n)) {
        for (g, rows) in rows.chunks(GROUP * n).enumerate() {
            numbers.fill(0);
            for (i, row) in rows.chunks_exact(n).enumerate() {
                numbers.iter_mut().zip(row).for_each(|(number, bit)| *number |= (bit.to_u64() as u8) << i);
            }
            choices.iter_mut().zip(&numbers).for_each(|(choice, &number)| choice[g] = number);
        }
    }
    choices
}

impl<W: Word, const LANES: usize> Panel<W, LANES> {
    /// Takes the words from `first` on of the rows of a, which are k long, with zeros where there are none.
    fn load(&mut self, a: &[W], k: usize, first: usize) {
        let (rows, width) = (a.len() / k, DEPTH.min(k - first));
        if rows < LANES || width < DEPTH {
            self.words = [[W::ZERO; LANES]; DEPTH];
        }
        transpose_into(&a[first..], k, [rows, width], self.words.as_flattened_mut(), LANES);
    }

    /// Adds to each total the chosen sum of every group.
    #[inline(always)]
    fn add_chosen(&mut self, kernel: Kernel, choices: &[[u8; GROUPS]], totals: &mut [[W; LANES]]) {
        #[cfg(target_arch = "x86_64")]
        match kernel {
            // SAFETY: the kernel has the instructions.
            Kernel::Avx512(_) => return unsafe { x86::add_chosen_512(self, choices, totals) },
            // SAFETY: as above.
            Kernel::Avx2(_) => return unsafe { x86::add_chosen_256(self, choices, totals) },
            Kernel::Scalar => {}
        }
        let _ = kernel;
        for (g, (words, sums)) in self.words.as_chunks::<GROUP>().0.iter().zip(&mut self.sums).enumerate() {
            sums[0] = [W::ZERO; LANES];
            for (i, word) in words.iter().enumerate() {
                for j in 0..1 << i {
                    sums[j + (1 << i)] = std::array::from_fn(|l| sums[j][l].wrapping_add(word[l]));
                }
            }
            for (total, choice) in totals.iter_mut().zip(choices) {
                add(total, &sums[usize::from(choice[g]) % (1 << GROUP)]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BYTES, GROUP, GROUPS, Panel};
    use crate::ring::Word;

    macro_rules! add_chosen {
        ($name:ident, $features:literal, $vector:ty, $zero:ident, $load:ident, $store:ident, $add64:ident, $add32:ident, $add16:ident) => {
            #[target_feature(enable = $features)]
            pub(super) fn $name<W: Word, const LANES: usize>(
                panel: &mut Panel<W, LANES>,
                choices: &[[u8; GROUPS]],
                totals: &mut [[W; LANES]],
            ) {
                const VECTORS: usize = BYTES / size_of::<$vector>();
                assert!(LANES * size_of::<W>() == BYTES);
                let add = |a, b| match W::BITS {
                    64 => $add64(a, b),
                    32 => $add32(a, b),
                    _ => $add16(a, b),
                };
                // SAFETY: a line has as many bytes as these vectors.
                let line = |line: &[W; LANES]| -> [$vector; VECTORS] {
                    std::array::from_fn(|v| unsafe { $load(line.as_ptr().cast::<$vector>().add(v)) })
                };
                for (sums, words) in panel.sums.iter_mut().zip(panel.words.as_chunks::<GROUP>().0) {
                    let words = words.each_ref().map(line);
                    for v in 0..VECTORS {
                        let mut all = [$zero(); 1 << GROUP];
                        for (i, word) in words.iter().enumerate() {
                            for j in 0..1 << i {
                                all[j + (1 << i)] = add(all[j], word[v]);
                            }
                        }
                        for (sum, vector) in sums.iter_mut().zip(all) {
                            // SAFETY: as above.
                            unsafe { $store(sum.as_mut_ptr().cast::<$vector>().add(v), vector) };
                        }
                    }
                }
                for (total, choice) in totals.iter_mut().zip(choices) {
                    let mut vectors = line(total);
                    for (sums, &chosen) in panel.sums.iter().zip(choice) {
                        let sum = line(&sums[usize::from(chosen) % (1 << GROUP)]);
                        for v in 0..VECTORS {
                            vectors[v] = add(vectors[v], sum[v]);
                        }
                    }
                    for (v, vector) in vectors.into_iter().enumerate() {
                        // SAFETY: as above.
                        unsafe { $store(total.as_mut_ptr().cast::<$vector>().add(v), vector) };
                    }
                }
            }
        };
    }
    add_chosen! {
        add_chosen_256, "avx2", __m256i, _mm256_setzero_si256, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_add_epi64, _mm256_add_epi32, _mm256_add_epi16
    }
    add_chosen! {
        add_chosen_512, "avx512f,avx512bw", __m512i, _mm512_setzero_si512, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_add_epi64, _mm512_add_epi32, _mm512_add_epi16
    }
}
