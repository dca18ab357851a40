//! Challenges that a test chooses, so that it can enumerate them all.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::marker::PhantomData;

use crate::kernel::Kernel;
use crate::kernel::extension::Extension;

thread_local! {
    /// The challenges that this party will draw.
    static CHALLENGES: RefCell<VecDeque<u64>> = const { RefCell::new(VecDeque::new()) };
}

/// Sets the challenges of [`Chosen`] extensions that the party in this thread draws next; discards those left over.
pub fn choose(challenges: impl IntoIterator<Item = u64>) {
    CHALLENGES.set(challenges.into_iter().collect());
}

/// The number of chosen challenges not yet drawn.
pub fn left() -> usize {
    CHALLENGES.with_borrow(VecDeque::len)
}

/// E, with challenges chosen by the test.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<E>(PhantomData<E>);

impl<E: Extension> Extension for Chosen<E> {
    type Domain = E::Domain;
    type Word = E::Word;
    const WORDS: usize = E::WORDS;
    const LANES: usize = E::LANES;
    const CHALLENGE_BITS: u32 = E::CHALLENGE_BITS;

    /// # Panics
    /// Where no challenge is left.
    fn challenges(bits: &[u64]) -> Vec<E::Word> {
        let next = |_| CHALLENGES.with_borrow_mut(|chosen| chosen.pop_front().expect("as many as are drawn"));
        E::challenges(&bits.iter().map(next).collect::<Vec<_>>())
    }

    fn add_weighted_sums(kernel: Kernel, values: &[E::Word], weights: &[E::Word], sums: &mut [E::Word]) {
        E::add_weighted_sums(kernel, values, weights, sums);
    }

    fn add_multiples(kernel: Kernel, values: &[E::Word], elements: &[E::Word], sums: &mut [E::Word]) {
        E::add_multiples(kernel, values, elements, sums);
    }

    fn lift(kernel: Kernel, rows: &[E::Word], factors: &[E::Word]) -> Vec<E::Word> {
        E::lift(kernel, rows, factors)
    }

    fn weigh(kernel: Kernel, elements: &mut [E::Word], weights: &[E::Word]) {
        E::weigh(kernel, elements, weights);
    }

    fn add_inner(kernel: Kernel, x: &[E::Word], y: &[E::Word], sum: &mut [E::Word]) {
        E::add_inner(kernel, x, y, sum);
    }

    fn fold(kernel: Kernel, rows: &[E::Word], factors: &[E::Word]) -> Vec<E::Word> {
        E::fold(kernel, rows, factors)
    }

    fn one() -> Vec<E::Word> {
        E::one()
    }
}
