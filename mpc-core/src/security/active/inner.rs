//! One inner product <p, q> = c on replicated shares, shortened until it can be opened under a mask.
//!
//! Pi holds two components each of vectors p and q and of c, over an extension E of the base ring with challenge set S
//! of 2^d elements. All claims of a batch over one ring are joined into one: elementwise claims by random weights
//! ([`Columns`]), matrix products and convolutions by Freivalds' compression ([`linear`](super::linear)). What is still
//! over the base ring is bound first ([`Binding`]); then all make up p and q.
//!
//! 1. While there are columns or p is longer than 1: blocks of p and q are read as polynomials P and Q on {0, 1}^l
//!    ([`table`](super::table)). The parties compute additive parts of <P(e), Q(e)> for e in {0, 1, infinity}^l and
//!    [`reshare`] them, except what follows from c (for columns: from the claims).
//! 2. They toss t in S^l; p := P(t), q := Q(t), c := the value at t of the polynomial that the table says.
//! 3. At length 1: p', q' from PRSS; h1 = p q' + p' q and h2 = p' q' are reshared.
//! 4. They toss t in S without 0, compare transcripts, and open p + t p', q + t q' and c + t h1 + t^2 h2, both copies
//!    at once. The claim stands iff the third is the product of the first two.
//!
//! Private: 1 and 3 only reshare. In 4, p' and q' are fresh, h1 is a fresh reshare and t is a unit, so all that is
//! opened is uniform except for the relation of the three, which says c - p q: an error that the cheater made and
//! knows. Sound: `docs/protocols.md`, "Active security". One one-way message for the weights, two for each pass of 1
//! and 2, four after them. Sources: Boneh et al., CRYPTO'19; Goyal, Song, ePrint 2020/134; Boyle et al., CCS'19.

use super::binding::Binding;
use super::columns::Columns;
use super::elementwise::Elementwise;
use super::mixed::Mixed;
use super::table::{extend, factors, from_sum, interpolate};
use super::{Pair, draw};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::kernel::extension::{Extension, add};
use crate::link::Link;
use crate::link::coin::Coin;
use crate::link::open::{self, Copies};
use crate::link::reshare::{self, Contributors, PendingReshare};
use crate::link::round::{Pending, Round};
use crate::ring::{Domain, Tensor, Word};
use crate::sharing::{Share, slice, tensor};

/// The claims of a batch over one ring, and what has become of them. All methods do nothing where there are none.
pub(super) struct InnerProduct<E: Extension> {
    kernel: Kernel,
    /// Claims whose operands are not lifted to E yet.
    pub(super) unlifted: Vec<(Base<E>, Binding<E>)>,
    p: Pair<E::Word>,
    q: Pair<E::Word>,
    c: Pair<E::Word>,
}

/// Operands over the base ring.
pub(super) enum Base<E: Extension> {
    Columns(Columns<E>),
    Mixed(Mixed<E>),
}

/// A table on its way.
pub(super) type Table<E> = PendingReshare<<E as Extension>::Domain, <E as Extension>::Word>;

impl<E: Extension> InnerProduct<E> {
    /// Draws the weights that join elementwise claims into one.
    pub(super) fn new(kernel: Kernel, coin: &mut Coin, claims: Elementwise<E>) -> Self {
        let (none, zero) = (|| [Vec::new(), Vec::new()], || vec![E::Word::ZERO; E::WORDS]);
        let mut unlifted = Vec::new();
        if !claims.is_empty() {
            let (columns, binding) = Columns::new(kernel, coin, claims);
            unlifted.push((Base::Columns(columns), binding));
        }
        Self { kernel, unlifted, p: none(), q: none(), c: [zero(), zero()] }
    }

    /// Elements in p, once it is lifted.
    fn len(&self) -> usize {
        self.p[0].len() / E::WORDS
    }

    /// Whether there is more than one product left.
    pub(super) fn is_long(&self) -> bool {
        !self.unlifted.is_empty() || self.len() > 1
    }

    /// How many variables to bind when p has n elements: more where rounds matter more than products.
    fn levels(n: usize) -> usize {
        const SHORT: usize = 512;
        let most = if n > SHORT && E::WORDS > 1 { 2 } else { 3 };
        most.min(n.next_power_of_two().ilog2() as usize)
    }

    /// Step 1, where something is long.
    pub(super) fn send_table(&mut self, round: &mut Round<'_>) -> Result<Option<Table<E>>> {
        if !self.is_long() {
            return Ok(None);
        }
        let parts = if self.unlifted.is_empty() {
            self.table()
        } else {
            self.unlifted.iter().flat_map(|(_, binding)| binding.parts()).collect()
        };
        reshare::send(round, &[parts.len()], Some(parts), Contributors::ALL).map(Some)
    }

    /// Step 2, where a table was received.
    pub(super) fn bind(&mut self, table: Option<Share<E::Domain, E::Word>>, coin: &mut Coin) {
        let Some(entries) = table.as_ref().map(components) else { return };
        if self.unlifted.is_empty() {
            self.shorten(entries, coin);
            return;
        }
        let mut entries = slices(&entries);
        for (_, binding) in &mut self.unlifted {
            let words = binding.count() * E::WORDS;
            let point = point::<E>(coin, binding.levels());
            binding.bind(entries.map(|entries| &entries[..words]), point);
            entries = entries.map(|entries| &entries[words..]);
        }
        let (bound, unlifted) = std::mem::take(&mut self.unlifted).into_iter().partition(|(_, b)| b.is_complete());
        self.unlifted = unlifted;
        for (base, binding) in bound {
            // The tables of this claim are fixed by now, and with them its error. Without a weight that is drawn after
            // them, a table could make up for the error of another claim: a constant f with 2^l f = 0 goes unnoticed in
            // a sum over the cube.
            let weight = draw::<E>(coin, 1);
            let [p, q, c] = match base {
                Base::Columns(columns) => columns.lift(binding, &weight),
                Base::Mixed(mixed) => mixed.lift(binding, &weight),
            };
            self.push(p, q, c);
        }
    }

    /// Adds the claim <p, q> = c: all together make one inner product.
    pub(super) fn push(&mut self, p: Pair<E::Word>, q: Pair<E::Word>, c: Pair<E::Word>) {
        for (vector, more) in self.p.iter_mut().chain(&mut self.q).zip(p.into_iter().chain(q)) {
            if vector.is_empty() { *vector = more } else { vector.extend(more) }
        }
        self.c.iter_mut().zip(c).for_each(|(sum, c)| *sum = add::<E>(sum, &c));
    }

    /// Step 2 for elements of E.
    fn shorten(&mut self, entries: Pair<E::Word>, coin: &mut Coin) {
        let (kernel, levels) = (self.kernel, Self::levels(self.len()));
        let point = point::<E>(coin, levels);
        let factors = factors::<E>(kernel, &point);
        for vector in [&mut self.p, &mut self.q].into_iter().flatten() {
            *vector = E::fold(kernel, vector, &factors);
        }
        let ones = E::one().repeat(1 << levels);
        for (c, entries) in self.c.iter_mut().zip(entries) {
            *c = interpolate::<E>(kernel, from_sum::<E>(kernel, levels, &entries, c, &ones), &point);
        }
    }

    /// Step 3: the claim under its mask.
    pub(super) fn send_mask(
        self,
        round: &mut Round<'_>,
    ) -> Result<Option<impl Pending<Link, Value = MaskedClaim<E>> + use<E>>> {
        if self.len() == 0 {
            return Ok(None);
        }
        let mut op = round.prss().next_op();
        let random = [op.own::<E::Word>(2 * E::WORDS), op.next::<E::Word>(2 * E::WORDS)];
        let [p, q] = [0, E::WORDS].map(|at| random.each_ref().map(|words| words[at..][..E::WORDS].to_vec()));
        let (mut h1, mut h2) = (vec![E::Word::ZERO; E::WORDS], vec![E::Word::ZERO; E::WORDS]);
        self.add_inner(slices(&self.p), slices(&q), &mut h1);
        self.add_inner(slices(&p), slices(&self.q), &mut h1);
        self.add_inner(slices(&p), slices(&q), &mut h2);
        let products =
            reshare::send::<E::Domain, _>(round, &[2 * E::WORDS], Some([h1, h2].concat()), Contributors::ALL)?;
        Ok(Some(move |link: &mut Link| {
            let products = components(&products.receive(link)?);
            let claim = [0, 1].map(|i| [self.p[i].clone(), self.q[i].clone(), self.c[i].clone()]);
            let linear = [0, 1].map(|i| [p[i].clone(), q[i].clone(), products[i][..E::WORDS].to_vec()]);
            let square = products.map(|h| h[E::WORDS..].to_vec());
            Ok(MaskedClaim { kernel: self.kernel, claim, linear, square })
        }))
    }

    /// Adds this party's additive part of <p, q>.
    fn add_inner(&self, p: [&[E::Word]; 2], q: [&[E::Word]; 2], sum: &mut [E::Word]) {
        E::add_inner(self.kernel, p[0], &add::<E>(q[0], q[1]), sum);
        E::add_inner(self.kernel, p[1], q[0], sum);
    }

    /// Cuts p and q into 2^levels blocks and computes this party's part of the table, without its first entry.
    fn table(&mut self) -> Vec<E::Word> {
        let levels = Self::levels(self.len());
        let length = self.len().next_multiple_of(1 << levels) * E::WORDS;
        for vector in [&mut self.p, &mut self.q].into_iter().flatten() {
            vector.resize(length, E::Word::ZERO);
        }
        let mut table = vec![E::Word::ZERO; 3usize.pow(levels as u32) * E::WORDS];
        // As in a product, the sum of q's components is wanted at every point; it is extended instead.
        let sum = add::<E>(&self.q[0], &self.q[1]);
        let vectors = [&self.p[0], &self.p[1], &sum, &self.q[0]].map(Vec::as_slice);
        extend::<E::Domain, _, 4>(self.kernel, vectors, levels, |point, [p0, p1, sum, q0]| {
            if point > 0 {
                let entry = &mut table[point * E::WORDS..][..E::WORDS];
                E::add_inner(self.kernel, p0, sum, entry);
                E::add_inner(self.kernel, p1, q0, entry);
            }
        });
        table.drain(..E::WORDS);
        table
    }
}

/// The claim p q = c, the linear and the square terms of its mask.
pub(super) struct MaskedClaim<E: Extension> {
    kernel: Kernel,
    claim: [[Vec<E::Word>; 3]; 2],
    linear: [[Vec<E::Word>; 3]; 2],
    square: Pair<E::Word>,
}

impl<E: Extension> MaskedClaim<E> {
    /// Step 4: opens p + t p', q + t q' and c + t h1 + t^2 h2, one after the other in one tensor.
    pub(super) fn open(
        self,
        round: &mut Round<'_>,
        coin: &mut Coin,
        copies: Copies,
    ) -> Result<impl Pending<Link, Value = Tensor<E::Word>> + use<E>> {
        let t = nonzero::<E>(coin);
        let component = |i: usize| {
            let times = |v: &[E::Word]| E::mul(self.kernel, v, &t);
            let [p, q, c] = [0, 1, 2].map(|j| add::<E>(&self.claim[i][j], &times(&self.linear[i][j])));
            let c = add::<E>(&c, &times(&times(&self.square[i])));
            tensor(&[3 * E::WORDS], [p, q, c].concat())
        };
        open::send(round, &Share::<E::Domain, _>::new(component(0), component(1)), copies)
    }
}

/// Step 4: whether the claim stands that was opened, if there was one.
pub(super) fn stands<E: Extension>(kernel: Kernel, opened: Option<Tensor<E::Word>>) -> bool {
    let Some(opened) = opened else { return true };
    let mut parts = slice(&opened).chunks_exact(E::WORDS);
    let [Some(p), Some(q), Some(c)] = [parts.next(), parts.next(), parts.next()] else {
        unreachable!("three elements")
    };
    E::mul(kernel, p, q) == c
}

/// A random point of S^l.
fn point<E: Extension>(coin: &mut Coin, levels: usize) -> Vec<Vec<E::Word>> {
    (0..levels).map(|_| draw::<E>(coin, 1)).collect()
}

/// An element of S without 0.
fn nonzero<E: Extension>(coin: &mut Coin) -> Vec<E::Word> {
    loop {
        let t = draw::<E>(coin, 1);
        if t.iter().any(|&word| word != E::Word::ZERO) {
            return t;
        }
    }
}

fn components<D: Domain, W: Word>(share: &Share<D, W>) -> Pair<W> {
    [slice(share.own()).to_vec(), slice(share.next()).to_vec()]
}

fn slices<W>(pair: &Pair<W>) -> [&[W]; 2] {
    pair.each_ref().map(Vec::as_slice)
}
