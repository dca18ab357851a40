//! Which claims are checked together.

use std::iter::Peekable;

use super::Parameters;
use super::elementwise::{Elementwise, terms};
use super::inner::InnerProduct;
use super::linear::compress;
use crate::kernel::Kernel;
use crate::link::coin::Coin;
use crate::security::Claim;

/// How much has gathered: elementwise products, and words of 64 ands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    products: usize,
    ands: usize,
}

impl Load {
    /// 256 k elementwise products or 4 M ands: about 16 MiB each while they are checked.
    const MOST: Self = Self { products: 1 << 18, ands: 1 << 16 };

    pub(super) fn add(&mut self, claim: &Claim) {
        match elements(claim) {
            Some((Kind::Product, n, terms)) => self.products += n * terms,
            Some((Kind::And, n, terms)) => self.ands += n * terms,
            None => {}
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.products >= Self::MOST.products || self.ands >= Self::MOST.ands
    }
}

enum Kind {
    Product,
    And,
}

/// Kind of an elementwise claim's products, number of its results, and of the products in each.
fn elements(claim: &Claim) -> Option<(Kind, usize, usize)> {
    Some(match claim {
        Claim::And(o) => (Kind::And, o.z.len(), terms(o)),
        Claim::Mul8(o) => (Kind::Product, o.z.len(), terms(o)),
        Claim::Mul16(o) => (Kind::Product, o.z.len(), terms(o)),
        Claim::Mul32(o) => (Kind::Product, o.z.len(), terms(o)),
        Claim::Mul64(o) => (Kind::Product, o.z.len(), terms(o)),
        Claim::MatMul(_) | Claim::Conv(..) => return None,
    })
}

/// Claims that are checked together.
pub(super) struct Batch<P: Parameters> {
    bits: Elementwise<P::Bits>,
    short: Elementwise<P::Short>,
    narrow: Elementwise<P::Narrow>,
    wide: Elementwise<P::Wide>,
    linear: Vec<Claim>,
}

impl<P: Parameters> Batch<P> {
    fn new() -> Self {
        let (bits, short) = (Elementwise::new(), Elementwise::new());
        Self { bits, short, narrow: Elementwise::new(), wide: Elementwise::new(), linear: Vec::new() }
    }

    /// Takes the next claims; of the first one, elements from `start` on. Sets `start` to where the next batch goes on.
    pub(super) fn take(claims: &mut Peekable<impl Iterator<Item = Claim>>, start: &mut usize) -> Self {
        let mut batch = Self::new();
        while let Some(claim) = claims.peek() {
            let Some((kind, n, terms)) = elements(claim) else {
                batch.linear.extend(claims.next());
                continue;
            };
            let room = match kind {
                Kind::Product => {
                    Load::MOST.products.saturating_sub(batch.short.len() + batch.narrow.len() + batch.wide.len())
                }
                Kind::And => Load::MOST.ands.saturating_sub(batch.bits.len()),
            };
            if room == 0 {
                break;
            }
            let end = n.min(*start + room.div_ceil(terms));
            let range = *start..end;
            match claim {
                Claim::And(o) => batch.bits.push(o, range),
                Claim::Mul8(o) => batch.short.push_narrower(o, range),
                Claim::Mul16(o) => batch.short.push(o, range),
                Claim::Mul32(o) => batch.narrow.push(o, range),
                Claim::Mul64(o) => batch.wide.push(o, range),
                Claim::MatMul(_) | Claim::Conv(..) => unreachable!("has no elements"),
            }
            *start = end;
            if end == n {
                claims.next();
                *start = 0;
            }
        }
        batch
    }

    /// Two parts that can be checked at the same time: products modulo 2^64, and all else.
    pub(super) fn split(self) -> [Self; 2] {
        let Self { bits, short, narrow, wide, linear } = self;
        [Self { wide, linear, ..Self::new() }, Self { bits, short, narrow, ..Self::new() }]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts().into_iter().sum::<usize>() == 0
    }

    /// What is in it, for the transcript.
    pub(super) fn describe(&self) -> Vec<u8> {
        self.counts().into_iter().flat_map(|n| (n as u64).to_le_bytes()).collect()
    }

    fn counts(&self) -> [usize; 5] {
        [self.bits.len(), self.short.len(), self.narrow.len(), self.wide.len(), self.linear.len()]
    }

    /// Joins the claims of each ring into one inner product.
    pub(super) fn join(self, kernel: Kernel, coin: &mut Coin) -> Joined<P> {
        let bits = InnerProduct::new(kernel, coin, self.bits);
        let short = InnerProduct::new(kernel, coin, self.short);
        let narrow = InnerProduct::new(kernel, coin, self.narrow);
        let mut wide = InnerProduct::new(kernel, coin, self.wide);
        self.linear.iter().for_each(|claim| compress(&mut wide, kernel, coin, claim));
        Joined { bits, short, narrow, wide }
    }
}

/// The claims of a batch: one inner product for each ring.
pub(super) struct Joined<P: Parameters> {
    pub(super) bits: InnerProduct<P::Bits>,
    pub(super) short: InnerProduct<P::Short>,
    pub(super) narrow: InnerProduct<P::Narrow>,
    pub(super) wide: InnerProduct<P::Wide>,
}
