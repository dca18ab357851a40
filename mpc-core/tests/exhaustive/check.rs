//! The steps of the check over rings of a few bits: every false statement, everything that a cheater can put into a
//! table, and every challenge. How often a false statement becomes a true one is never more than `docs/protocols.md`
//! says, and for the best cheater just that.
//!
//! This is the check's mathematics by itself, as the document has it; [`check_product`](super::check_product) holds the
//! code against it.

use std::collections::{BTreeSet, HashMap};

use super::ring::Ring;
use super::{assert_row, grouped};

/// What came of a step.
pub(crate) struct Step {
    name: &'static str,
    /// False statements, times what a cheater can do.
    cases: usize,
    /// Challenges that make the step of the best cheater a true one.
    worst: usize,
    challenges: usize,
}

impl Step {
    /// Takes the step for all cases, each with how many challenges it passes for.
    fn of(name: &'static str, challenges: usize, passes: impl Iterator<Item = usize>) -> Self {
        let (cases, worst) = passes.fold((0, 0), |(cases, worst), passes| (cases + 1, passes.max(worst)));
        Self { name, cases, worst, challenges }
    }

    fn assert(&self, ring: &Ring, bound: usize, exact: &str) {
        assert_eq!(self.worst, bound, "{} over {} and {} bits", self.name, ring.b, ring.d);
        let size = format!("{} x {}", ring.d, ring.b);
        let worst = format!("{} of {}", self.worst, self.challenges);
        assert_row(&[self.name, &size, &grouped(self.cases), &worst, exact]);
    }
}

/// Pairs of challenges.
fn pairs(challenges: &[usize]) -> Vec<[usize; 2]> {
    challenges.iter().flat_map(|&a| challenges.iter().map(move |&b| [a, b])).collect()
}

/// All false batches of 2 rows and 2 columns: errors of four claims, as elements.
fn false_squares(ring: &Ring) -> impl Iterator<Item = [usize; 4]> {
    let base = 1usize << ring.b;
    (1..base.pow(4)).map(move |errors| [0, 1, 2, 3].map(|i| errors / base.pow(i) % base))
}

/// Step 1: sum over rows b and columns g of u_b w_g e_bg, where u_0 is 1.
#[test]
fn weights_miss_a_false_claim_as_often_as_the_bound_says() {
    for ring in [Ring::new(3, 2), Ring::new(2, 3)] {
        let s = ring.challenges();
        let weights = pairs(&s);
        let sum = |[a, b]: [usize; 2], [v, w]: [usize; 2]| ring.add(ring.mul(v, a), ring.mul(w, b));
        let passes = false_squares(&ring).map(|[a, b, c, d]| {
            let missed = |w: &[usize; 2]| {
                let (first, second) = (sum([a, b], *w), sum([c, d], *w));
                s.iter().filter(|&&u| ring.add(first, ring.mul(u, second)) == 0).count()
            };
            weights.iter().map(missed).sum()
        });
        // Of |S|^3: w_g that vanishes, or u_1 that cancels.
        let step = Step::of("weights, two rows and columns", s.len().pow(3), passes);
        step.assert(&ring, (2 * s.len() - 1) * s.len(), "2/q - 1/q^2");
    }
}

/// Step 2: r^T E s.
#[test]
fn freivalds_misses_a_false_entry_as_often_as_the_bound_says() {
    for ring in [Ring::new(3, 2), Ring::new(2, 3)] {
        let pairs = pairs(&ring.challenges());
        let sum = |[a, b]: [usize; 2], [v, w]: [usize; 2]| ring.add(ring.mul(v, a), ring.mul(w, b));
        let passes = false_squares(&ring).map(|[a, b, c, d]| {
            let missed = |r: &[usize; 2]| {
                let row = [sum([a, c], *r), sum([b, d], *r)];
                pairs.iter().filter(|s| sum(row, **s) == 0).count()
            };
            pairs.iter().map(missed).sum()
        });
        let q = ring.challenges().len();
        Step::of("Freivalds, 2 x 2", q.pow(4), passes).assert(&ring, (2 * q - 1) * q * q, "2/q - 1/q^2");
    }
}

/// Step 3, first table: claimed on the cube, falsely, and anything at infinity.
#[test]
fn a_table_of_one_variable_misses_an_error_as_often_as_the_bound_says() {
    for ring in [Ring::new(3, 2), Ring::new(2, 3)] {
        let (s, len) = (ring.challenges(), ring.len());
        let passes =
            (1..len * len).flat_map(|claimed| ring.elements().map(move |top| [claimed % len, claimed / len, top]));
        let passes = passes.map(|table| s.iter().filter(|&&t| ring.at(table, t) == 0).count());
        Step::of("table, one variable", s.len(), passes).assert(&ring, 2, "2/q");
    }
}

/// Step 3, two variables at once: every table that is not zero, over GF(4).
#[test]
fn a_table_of_two_variables_misses_an_error_less_often_than_the_bound_says() {
    let ring = Ring::new(1, 2);
    let (s, len) = (ring.challenges(), ring.len());
    let passes = (1..len.pow(9)).map(|table| {
        let entry = |e: u32| table / len.pow(e) % len;
        let missed = |t: &usize| {
            let rows = [0, 3, 6].map(|row| ring.at([entry(row), entry(row + 1), entry(row + 2)], *t));
            s.iter().filter(|&&u| ring.at(rows, u) == 0).count()
        };
        s.iter().map(missed).sum()
    });
    let q = s.len();
    let step = Step::of("table, two variables", q * q, passes);
    step.assert(&ring, q * q - (q - 2) * (q - 2), "1 - (1 - 2/q)^2");
    assert!(step.worst <= (2 + 2) * q, "the bound of the document");
}

/// Steps 3, second table, and 5: the sum over the cube, weighted, is claimed falsely, and the other entries may be
/// anything.
#[test]
fn a_sum_misses_an_error_as_often_as_the_bound_says() {
    for ring in [Ring::new(3, 2), Ring::new(2, 3)] {
        let s = ring.challenges();
        let passes = s.iter().flat_map(|&u| ring.errors().map(move |error| (u, error))).flat_map(|(u, error)| {
            let (ring, s) = (&ring, &s);
            ring.elements().flat_map(move |one| {
                let zero = ring.sub(error, ring.mul(u, one));
                ring.elements().map(move |top| s.iter().filter(|&&t| ring.at([zero, one, top], t) == 0).count())
            })
        });
        Step::of("sum over the cube, one variable", s.len(), passes).assert(&ring, 2, "2/q");
    }
}

/// Step 4: a false claim times rho, and any error of the others.
#[test]
fn joining_lets_errors_cancel_as_often_as_the_bound_says() {
    for ring in [Ring::new(3, 2), Ring::new(2, 3)] {
        let s = ring.challenges();
        let passes = ring.errors().flat_map(|bound| ring.elements().map(move |others| (bound, others)));
        let passes =
            passes.map(|(bound, others)| s.iter().filter(|&&rho| ring.add(ring.mul(rho, bound), others) == 0).count());
        Step::of("joining", s.len(), passes).assert(&ring, 1, "1/q");
    }
}

/// Step 6: D + t e1 + t^2 e2 for t that is not zero.
#[test]
fn the_mask_misses_an_error_as_often_as_the_bound_says() {
    for ring in [Ring::new(3, 2), Ring::new(2, 3)] {
        let mut mask = Mask::new(&ring);
        let passes = ring.errors().flat_map(|error| mask.passes(error)).collect::<Vec<_>>();
        Step::of("mask", ring.challenges().len() - 1, passes.into_iter()).assert(&ring, 2, "2/(q - 1)");
    }
}

/// Step 6, what is opened: whatever p is, p + t p' takes every value once, for each t that is not zero; and so does q +
/// t q'.
#[test]
fn the_mask_hides_what_is_opened() {
    for ring in [Ring::new(3, 2), Ring::new(2, 3)] {
        for t in ring.challenges().into_iter().filter(|&t| t != 0) {
            for p in ring.elements() {
                let opened: BTreeSet<_> = ring.elements().map(|mask| ring.add(p, ring.mul(t, mask))).collect();
                assert_eq!(opened.len(), ring.len(), "{p} under {t}");
            }
        }
    }
}

/// Step 6 over a ring, and how well a cheater does in it.
struct Mask<'a> {
    ring: &'a Ring,
    best: HashMap<usize, usize>,
}

impl<'a> Mask<'a> {
    fn new(ring: &'a Ring) -> Self {
        Self { ring, best: HashMap::new() }
    }

    /// For each e1 and e2, for how many t the error D goes unseen.
    fn passes(&mut self, error: usize) -> Vec<usize> {
        let ring = self.ring;
        let of = |e1: usize, e2: usize| {
            let challenges = ring.challenges().into_iter().filter(|&t| t != 0);
            challenges.filter(|&t| ring.add(error, ring.mul(t, ring.add(e1, ring.mul(t, e2)))) == 0).count()
        };
        ring.elements().flat_map(|e1| ring.elements().map(move |e2| of(e1, e2))).collect()
    }

    fn best(&mut self, error: usize) -> usize {
        if let Some(&best) = self.best.get(&error) {
            return best;
        }
        let best = if error == 0 {
            self.ring.challenges().len() - 1
        } else {
            self.passes(error).into_iter().max().expect("some")
        };
        self.best.insert(error, best);
        best
    }
}

/// The whole check of one claim that is false by `error`: the cheater knows all challenges so far when it chooses its
/// next errors. For how many of all challenges the best one passes: weight, table, joining weight, `passes` of
/// shortening, mask.
pub(crate) fn game(ring: &Ring, error: usize, passes: u32) -> usize {
    let s = ring.challenges();
    let mut mask = Mask::new(ring);
    // How often an error passes with so many passes to come.
    let mut best: Vec<usize> = ring.elements().map(|error| mask.best(error)).collect();
    for _ in 0..passes {
        let shortened = |error: usize| {
            let tables = ring.elements().flat_map(|one| ring.elements().map(move |top| (one, top)));
            let sum = |(one, top)| s.iter().map(|&t| best[ring.at([ring.sub(error, one), one, top], t)]).sum::<usize>();
            tables.map(sum).max().expect("tables")
        };
        best = ring.elements().map(shortened).collect();
    }
    let joined = |error: usize| s.iter().map(|&rho| best[ring.mul(rho, error)]).sum::<usize>();
    let joined: Vec<usize> = ring.elements().map(joined).collect();
    let tables = |weight: &usize| {
        let zero = ring.mul(*weight, error);
        let sum = |top| s.iter().map(|&t| joined[ring.at([zero, 0, top], t)]).sum::<usize>();
        ring.elements().map(sum).max().expect("tables")
    };
    s.iter().map(tables).sum()
}

/// Every error that a claim over Z_2^b can have: nothing is left but to guess each challenge.
#[test]
fn the_best_cheater_passes_the_whole_check_as_often_as_its_steps_say() {
    for (ring, passes) in [(Ring::new(3, 2), 0), (Ring::new(3, 2), 2), (Ring::new(2, 3), 0), (Ring::new(2, 3), 2)] {
        let q = ring.challenges().len();
        let total = q.pow(3 + passes) * (q - 1);
        let unseen = (q - 1) * (q - 2) * (q - 1) * (q - 2).pow(passes) * (q - 3);
        let best: Vec<usize> = (1..1 << ring.b).map(|error| game(&ring, error, passes)).collect();
        assert!(best.iter().all(|&best| best == total - unseen), "{best:?} of {total}");
        // The document adds up what each step misses.
        let bound = (1 + 2 + 1 + 2 * passes as usize) * total / q + 2 * total / (q - 1);
        assert!(total - unseen <= bound);
        let steps = format!("one claim through the whole check, {passes} passes");
        let size = format!("{} x {}", ring.d, ring.b);
        let worst = format!("{} of {}", grouped(total - unseen), grouped(total));
        assert_row(&[&steps, &size, &best.len().to_string(), &worst, "one minus the product"]);
    }
}
