//! Each operation against a slow multiplication of polynomials, on every kernel.

use proptest::prelude::*;

use super::*;

/// The product of two elements, coefficient by coefficient.
fn product<E: Oracle>(a: &[E::Word], b: &[E::Word]) -> Vec<E::Word> {
    let (a, b) = (E::coefficients(a), E::coefficients(b));
    let degree = a.len();
    let mut c = vec![0u64; 2 * degree];
    for (i, &a) in a.iter().enumerate() {
        for (j, &b) in b.iter().enumerate() {
            c[i + j] = c[i + j].wrapping_add(a.wrapping_mul(b));
        }
    }
    for k in (degree..2 * degree).rev() {
        for &t in E::TAIL {
            c[k - degree + t] = c[k - degree + t].wrapping_sub(c[k]);
        }
    }
    E::element(&c[..degree])
}

/// Elements as integer coefficients.
trait Oracle: Extension {
    const TAIL: &'static [usize];
    fn coefficients(element: &[Self::Word]) -> Vec<u64>;
    fn element(coefficients: &[u64]) -> Vec<Self::Word>;
}

impl<const D: u32> Oracle for Field<D> {
    const TAIL: &'static [usize] = &[0, 1, 3, 4];
    fn coefficients(element: &[u64]) -> Vec<u64> {
        (0..64).map(|k| element[0] >> k & 1).collect()
    }
    fn element(coefficients: &[u64]) -> Vec<u64> {
        vec![coefficients.iter().rev().fold(0, |word, c| word << 1 | c & 1)]
    }
}

macro_rules! galois_oracle {
    ($($word:ty, $degree:literal: $tail:expr;)*) => {$(
        impl Oracle for Galois<$word, $degree> {
            const TAIL: &'static [usize] = &$tail;
            fn coefficients(element: &[$word]) -> Vec<u64> {
                element.iter().map(|c| c.to_u64()).collect()
            }
            fn element(coefficients: &[u64]) -> Vec<$word> {
                coefficients.iter().map(|&c| c as $word).collect()
            }
        }
    )*};
}
galois_oracle! {
    u16, 2: [0, 1];
    u32, 2: [0, 1];
    u32, 4: [0, 1];
    u64, 4: [0, 1];
    u16, 48: [0, 2, 3, 5];
    u32, 48: [0, 2, 3, 5];
    u64, 48: [0, 2, 3, 5];
    u16, 64: [0, 1, 3, 4];
    u32, 64: [0, 1, 3, 4];
    u64, 64: [0, 1, 3, 4];
}

fn words<E: Extension>(seed: u64, n: usize) -> Vec<E::Word> {
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        Some(E::Word::from_u64(*state ^ *state >> 29))
    };
    std::iter::repeat(()).scan(seed, |state, ()| next(state)).take(n).collect()
}

/// The element that base value `lane` of a column stands for.
fn embedded<E: Extension>(column: E::Word, lane: usize) -> Vec<E::Word> {
    let bits = if E::LANES == 1 { column } else { E::Word::from_u64(column.to_u64() >> lane & 1) };
    std::iter::once(bits).chain(std::iter::repeat(E::Word::ZERO)).take(E::WORDS).collect()
}

fn check<E: Oracle>(seed: u64, height: usize, columns: usize) {
    let w = E::WORDS;
    let zero = || vec![E::Word::ZERO; w];
    let rows = words::<E>(seed, height * columns);
    let factors = words::<E>(seed + 1, height * w);
    let weights = E::challenges(&words::<Field>(seed + 2, columns));
    for kernel in Kernel::available() {
        let start = words::<E>(seed + 3, height * w);
        let expected = |elements: &[E::Word]| -> Vec<_> {
            let row = |r: usize| {
                let terms = (0..columns).map(|g| {
                    let value = if E::LANES == 1 {
                        embedded::<E>(rows[r * columns + g], 0)
                    } else {
                        vec![rows[r * columns + g]]
                    };
                    product::<E>(&value, &elements[g * w..][..w])
                });
                terms.fold(start[r * w..][..w].to_vec(), |sum, term| add::<E>(&sum, &term))
            };
            (0..height).flat_map(row).collect()
        };
        let mut sums = start.clone();
        E::add_weighted_sums(kernel, &rows, &weights, &mut sums);
        assert_eq!(sums, expected(&weights), "weighted sums, {kernel}");

        let elements = words::<E>(seed + 6, columns * w);
        let mut sums = start.clone();
        E::add_multiples(kernel, &rows, &elements, &mut sums);
        assert_eq!(sums, expected(&elements), "multiples, {kernel}");

        let mut lifted = E::lift(kernel, &rows, &factors);
        let lanes = (0..columns).flat_map(|g| (0..E::LANES).map(move |b| (g, b)));
        let expected: Vec<_> = lanes
            .clone()
            .flat_map(|(g, b)| {
                let terms =
                    (0..height).map(|a| product::<E>(&factors[a * w..][..w], &embedded::<E>(rows[a * columns + g], b)));
                terms.fold(zero(), |sum, term| add::<E>(&sum, &term))
            })
            .collect();
        assert_eq!(lifted, expected, "lift, {kernel}");

        let power =
            |b: usize| E::element(&(0..E::coefficients(&zero()).len()).map(|k| u64::from(k == b)).collect::<Vec<_>>());
        let expected: Vec<_> = lanes
            .zip(lifted.chunks_exact(w))
            .flat_map(|((g, b), x)| product::<E>(x, &product::<E>(&weights[g * w..][..w], &power(b))))
            .collect();
        E::weigh(kernel, &mut lifted, &weights);
        assert_eq!(lifted, expected, "weigh, {kernel}");

        let x = words::<E>(seed + 4, height * columns * w);
        let y = words::<E>(seed + 5, height * columns * w);
        let pairs = x.chunks_exact(w).zip(y.chunks_exact(w));
        let expected = pairs.fold(factors[..w].to_vec(), |sum, (x, y)| add::<E>(&sum, &product::<E>(x, y)));
        let mut sum = factors[..w].to_vec();
        E::add_inner(kernel, &x, &y, &mut sum);
        assert_eq!(sum, expected, "inner, {kernel}");

        let expected: Vec<_> = (0..columns)
            .flat_map(|i| {
                let terms = (0..height).map(|a| product::<E>(&factors[a * w..][..w], &x[(a * columns + i) * w..][..w]));
                terms.fold(zero(), |sum, term| add::<E>(&sum, &term))
            })
            .collect();
        assert_eq!(E::fold(kernel, &x, &factors), expected, "fold, {kernel}");
        assert_eq!(E::mul(kernel, &x[..w], &E::one()), x[..w], "one, {kernel}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn operations_agree_with_polynomials(seed in 0..u64::MAX - 10, height in prop_oneof![1..9usize, 60..70usize], columns in 1..70usize) {
        check::<Field>(seed, height, columns);
        check::<Field<4>>(seed, height, columns);
        check::<Galois<u16, 2>>(seed, height, columns);
        check::<Galois<u32, 2>>(seed, height, columns);
        check::<Galois<u32, 4>>(seed, height, columns);
        check::<Galois<u64, 4>>(seed, height, columns);
        check::<Galois<u16, 48>>(seed, height, columns);
        check::<Galois<u32, 48>>(seed, height, columns);
        check::<Galois<u64, 48>>(seed, height, columns);
        check::<Galois<u16, 64>>(seed, height, columns);
        check::<Galois<u32, 64>>(seed, height, columns);
        check::<Galois<u64, 64>>(seed, height, columns);
    }
}

/// Rabin's test: f of degree d is irreducible modulo 2 if it divides X^(2^d) - X and is prime to X^(2^(d/p)) - X for
/// every prime p that divides d.
#[test]
fn moduli_are_irreducible() {
    for (degree, tail, primes) in [
        (2usize, vec![0, 1], vec![2]),
        (4, vec![0, 1], vec![2]),
        (48, vec![0, 2, 3, 5], vec![2, 3]),
        (64, vec![0, 1, 3, 4], vec![2]),
    ] {
        let f = 1u128 << degree | tail.iter().map(|t| 1u128 << t).sum::<u128>();
        let length = |a: u128| 128 - a.leading_zeros();
        let rem = |mut a: u128, b: u128| {
            while length(a) >= length(b) {
                a ^= b << (length(a) - length(b));
            }
            a
        };
        let square = |a: u128| (0..64).fold(0, |sum, i| sum ^ (a >> i & 1) << (2 * i));
        let frobenius = |times: usize| (0..times).fold(2, |x, _| rem(square(x), f));
        assert_eq!(frobenius(degree), 2, "degree {degree}");
        for p in primes {
            let (mut a, mut b) = (f, frobenius(degree / p) ^ 2);
            while b != 0 {
                (a, b) = (b, rem(a, b));
            }
            assert_eq!(a, 1, "degree {degree}, prime {p}");
        }
    }
}
