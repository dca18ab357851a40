//! Z_2^b[X] / f by its tables, and the set S of challenges in it: the rings of the check, a few bits large.

/// The ring; an element is a number whose digits to base 2^b are its coefficients.
pub(crate) struct Ring {
    pub(crate) b: u32,
    pub(crate) d: u32,
    products: Vec<usize>,
}

impl Ring {
    /// With f = X^d + X + 1, which is irreducible modulo 2 for d = 2 and 3.
    pub(crate) fn new(b: u32, d: u32) -> Self {
        assert!(d == 2 || d == 3, "f is irreducible");
        let mut ring = Self { b, d, products: Vec::new() };
        ring.products = ring.pairs().map(|(x, y)| ring.multiply(x, y)).collect();
        ring
    }

    pub(crate) fn len(&self) -> usize {
        1 << (self.b * self.d)
    }

    pub(crate) fn elements(&self) -> std::ops::Range<usize> {
        0..self.len()
    }

    /// All elements but zero.
    pub(crate) fn errors(&self) -> std::ops::Range<usize> {
        1..self.len()
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let len = self.len();
        (0..len).flat_map(move |x| (0..len).map(move |y| (x, y)))
    }

    /// Those whose coefficients are 0 and 1.
    pub(crate) fn challenges(&self) -> Vec<usize> {
        (0..1 << self.d).map(|bits: u64| self.element(|k| bits >> k & 1)).collect()
    }

    pub(crate) fn mul(&self, x: usize, y: usize) -> usize {
        self.products[x * self.len() + y]
    }

    pub(crate) fn add(&self, x: usize, y: usize) -> usize {
        self.element(|k| self.coefficient(x, k) + self.coefficient(y, k))
    }

    pub(crate) fn sub(&self, x: usize, y: usize) -> usize {
        self.element(|k| self.coefficient(x, k).wrapping_sub(self.coefficient(y, k)))
    }

    pub(crate) fn coefficient(&self, x: usize, k: u32) -> u64 {
        (x >> (self.b * k)) as u64 & ((1 << self.b) - 1)
    }

    /// The value at t of the polynomial of degree 2 that has these values at 0 and 1 and this leading coefficient.
    pub(crate) fn at(&self, [zero, one, infinity]: [usize; 3], t: usize) -> usize {
        // zero + t (one - zero - infinity + infinity t)
        let slope = self.sub(self.sub(one, zero), infinity);
        self.add(zero, self.mul(t, self.add(slope, self.mul(infinity, t))))
    }

    fn element(&self, coefficient: impl Fn(u32) -> u64) -> usize {
        (0..self.d).fold(0, |x, k| x | ((coefficient(k) & ((1 << self.b) - 1)) as usize) << (self.b * k))
    }

    fn multiply(&self, x: usize, y: usize) -> usize {
        let d = self.d as usize;
        let mut product = vec![0u64; 2 * d];
        for (i, j) in (0..d).flat_map(|i| (0..d).map(move |j| (i, j))) {
            let [a, b] = [self.coefficient(x, i as u32), self.coefficient(y, j as u32)];
            product[i + j] = product[i + j].wrapping_add(a * b);
        }
        for k in (d..2 * d).rev() {
            for low in [k - d, k - d + 1] {
                product[low] = product[low].wrapping_sub(product[k]);
            }
        }
        self.element(|k| product[k as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Lemma 1 of `docs/protocols.md` needs of S.
    #[test]
    fn differences_of_challenges_are_units() {
        for ring in [Ring::new(1, 2), Ring::new(3, 2), Ring::new(1, 3), Ring::new(2, 3)] {
            let challenges = ring.challenges();
            for (i, &s) in challenges.iter().enumerate() {
                for &t in &challenges[..i] {
                    let difference = ring.sub(s, t);
                    assert!(ring.elements().any(|inverse| ring.mul(difference, inverse) == 1), "{s} - {t}");
                }
            }
        }
    }
}
