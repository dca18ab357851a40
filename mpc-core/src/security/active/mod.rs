//! Security against one party that deviates in any way: every product is checked before anything is opened, or the
//! session ends.
//!
//! The protocols run as in passive mode: a reshare is private whatever errors a cheater adds, and all it can do is add
//! an error that it knows to a product. Every product is recorded as a claim on shares that the parties hold anyway. A
//! batch of claims is checked together, one inner product for each of four rings:
//!
//! | claims | ring | file |
//! |---|---|---|
//! | and | GF(2^64) | `columns.rs` |
//! | elementwise products modulo 2^8 and 2^16 | Z_2^16\[X\] / f | `columns.rs` |
//! | elementwise products modulo 2^32 | Z_2^32\[X\] / f | `columns.rs` |
//! | elementwise products modulo 2^64 | Z_2^64\[X\] / f | `columns.rs` |
//! | matrix products and convolutions | Z_2^64\[X\] / f | `linear.rs` |
//!
//! [`inner`] then shortens the inner products and opens them under a mask. What came from outside is compared between
//! its holders before, as in every mode ([`agree`](super::agree)); coins, opened values and verdicts are compared
//! after. The arguments are in `docs/protocols.md`.

mod batch;
mod binding;
mod columns;
mod elementwise;
mod inner;
mod linear;
mod mixed;
mod table;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use rand_core::Rng;

use super::agree::agree;
use super::{Claim, Digests, Security};
use crate::error::{Error, Result, Step};
use crate::kernel::extension::{Extension, Field, Galois};
use crate::link::Link;
use crate::link::coin::{Coin, toss};
use crate::link::open::Copies;
use crate::link::worker::both;
use crate::ring::{Arithmetic, Boolean};
use crate::session::Id;
use batch::{Batch, Joined, Load};

/// The rings that claims are checked in, and the checks that are made: all of them, except in tests that show what each
/// is for.
pub trait Parameters: Send + 'static {
    /// For ands.
    type Bits: Extension<Domain = Boolean, Word = u64>;
    /// For products modulo 2^8 and 2^16.
    type Short: Extension<Domain = Arithmetic, Word = u16>;
    /// For products modulo 2^32.
    type Narrow: Extension<Domain = Arithmetic, Word = u32>;
    /// For products modulo 2^64.
    type Wide: Extension<Domain = Arithmetic, Word = u64>;
    /// What is checked.
    const CHECKS: Checks = Checks::ALL;
}

/// The checks, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Holders compare their components of what came from outside.
    pub agreement: bool,
    /// Coins are compared before anything that depends on them is opened.
    pub coins: bool,
    /// Both copies of what is opened are compared.
    pub openings: bool,
    /// The inner product must hold.
    pub products: bool,
    /// Transcripts are compared at the end.
    pub transcript: bool,
}

impl Checks {
    /// All of them.
    pub const ALL: Self = Self { agreement: true, coins: true, openings: true, products: true, transcript: true };
}

/// d = 48 for products, 64 for ands: a false claim passes with probability at most 2^-41 and 2^-57.
#[derive(Debug, Clone, Copy)]
pub struct Standard;

impl Parameters for Standard {
    type Bits = Field;
    type Short = Galois<u16, 48>;
    type Narrow = Galois<u32, 48>;
    type Wide = Galois<u64, 48>;
}

/// d = 64 for all: a false claim passes with probability at most 2^-57.
#[derive(Debug, Clone, Copy)]
pub struct Strict;

impl Parameters for Strict {
    type Bits = Field;
    type Short = Galois<u16, 64>;
    type Narrow = Galois<u32, 64>;
    type Wide = Galois<u64, 64>;
}

/// The two components of a vector that a party holds.
type Pair<W> = [Vec<W>; 2];

/// Records every product and checks them in batches.
pub struct Active<P: Parameters = Standard> {
    context: Id,
    claims: Vec<Claim>,
    load: Load,
    parameters: PhantomData<fn() -> P>,
}

impl<P: Parameters> Active<P> {
    /// `context` is what the three parties have agreed on before: the session, its model and its parameters.
    pub fn new(context: &Id) -> Self {
        let (claims, load) = (Vec::new(), Load::default());
        Self { context: *context, claims, load, parameters: PhantomData }
    }

    fn copies() -> Copies {
        if P::CHECKS.openings { Copies::Both } else { Copies::One }
    }

    /// Checks what was recorded, batch by batch.
    fn check_all(&mut self, link: &mut Link) -> Result<()> {
        let mut claims = std::mem::take(&mut self.claims).into_iter().peekable();
        self.load = Load::default();
        let mut start = 0;
        while claims.peek().is_some() {
            check_in_parts::<P>(link, Batch::take(&mut claims, &mut start))?;
        }
        Ok(())
    }
}

/// Checks a batch, in two parts at the same time where it has both: there is something to do while one waits for its
/// peers. The parts have keys and coins of their own.
fn check_in_parts<P: Parameters>(link: &mut Link, batch: Batch<P>) -> Result<()> {
    let [wide, light] = batch.split();
    if wide.is_empty() || light.is_empty() {
        return [wide, light].into_iter().filter(|part| !part.is_empty()).try_for_each(|part| check(link, part));
    }
    let check = |link: &mut Link, part| check(link, part).and_then(|()| link.flush()).inspect_err(|e| link.abort(e));
    let (mut branch, worker) = link.lend()?;
    let before = [link.meter(), branch.meter()];
    let light = worker.run(move || (check(&mut branch, light), branch));
    let wide = check(link, wide);
    let (light, branch) = light.wait();
    link.take_back((branch, worker), before);
    both(wide, light).map(drop)
}

/// Checks a batch. See [`inner`] for the steps.
///
/// # Errors
/// [`Error::Cheating`] where a claim is false, except with the probability of the soundness error.
fn check<P: Parameters>(link: &mut Link, batch: Batch<P>) -> Result<()> {
    let copies = Active::<P>::copies();
    link.note(b"claims", &batch.describe());
    let mut coin = toss(link)?;
    let Joined { mut bits, mut short, mut narrow, mut wide } = batch.join(link.kernel(), &mut coin);
    while bits.is_long() || short.is_long() || narrow.is_long() || wide.is_long() {
        let tables = link.round(|round| {
            let (bits, short) = (bits.send_table(round)?, short.send_table(round)?);
            Ok((bits, short, narrow.send_table(round)?, wide.send_table(round)?))
        })?;
        let mut coin = toss(link)?;
        bits.bind(tables.0, &mut coin);
        short.bind(tables.1, &mut coin);
        narrow.bind(tables.2, &mut coin);
        wide.bind(tables.3, &mut coin);
    }

    let (bits, short, narrow, wide) = link.round(|round| {
        let (bits, short) = (bits.send_mask(round)?, short.send_mask(round)?);
        Ok((bits, short, narrow.send_mask(round)?, wide.send_mask(round)?))
    })?;
    let mut coin = toss(link)?;
    if P::CHECKS.coins {
        link.compare_transcripts(Step::Coins)?;
    }
    let opened = link.round(|round| {
        let bits = bits.map(|claim| claim.open(round, &mut coin, copies)).transpose()?;
        let short = short.map(|claim| claim.open(round, &mut coin, copies)).transpose()?;
        let narrow = narrow.map(|claim| claim.open(round, &mut coin, copies)).transpose()?;
        let wide = wide.map(|claim| claim.open(round, &mut coin, copies)).transpose()?;
        Ok((bits, short, narrow, wide))
    })?;
    let kernel = link.kernel();
    let stands = inner::stands::<P::Bits>(kernel, opened.0)
        && inner::stands::<P::Short>(kernel, opened.1)
        && inner::stands::<P::Narrow>(kernel, opened.2)
        && inner::stands::<P::Wide>(kernel, opened.3);
    if P::CHECKS.products && !stands {
        return Err(Error::Cheating { step: Step::Products });
    }
    Ok(())
}

/// n random elements of the challenge set.
fn draw<E: Extension>(coin: &mut Coin, n: usize) -> Vec<E::Word> {
    E::challenges(&(0..n).map(|_| coin.next_u64()).collect::<Vec<_>>())
}

impl<P: Parameters> Security for Active<P> {
    fn wants_claims(&self) -> bool {
        true
    }

    fn copies(&self) -> Copies {
        Self::copies()
    }

    fn record(&mut self, claim: Claim) {
        self.load.add(&claim);
        self.claims.push(claim);
    }

    fn branch(&self) -> Box<dyn Security> {
        Box::new(Self::new(&self.context))
    }

    fn take(&mut self) -> Vec<Claim> {
        self.load = Load::default();
        std::mem::take(&mut self.claims)
    }

    fn agree(&mut self, link: &mut Link, given: &[(Step, Digests)]) -> Result<()> {
        if P::CHECKS.agreement { agree(link, given) } else { Ok(()) }
    }

    fn checkpoint(&mut self, link: &mut Link) -> Result<()> {
        if self.load.is_full() { self.check_all(link) } else { Ok(()) }
    }

    fn verify(&mut self, link: &mut Link) -> Result<()> {
        self.check_all(link)?;
        if P::CHECKS.transcript {
            link.note(b"context", &self.context);
            link.compare_transcripts(Step::Transcript)?;
        }
        Ok(())
    }
}
