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
    narrow: Elementwise<P::Narrow>,
    wide: Elementwise<P::Wide>,
    linear: Vec<Claim>,
}

impl<P: Parameters> Batch<P> {
    /// Takes the next claims; of the first one, elements from `start` on. Sets `start` to where the next batch goes on.
    pub(super) fn take(claims: &mut Peekable<impl Iterator<Item = Claim>>, start: &mut usize) -> Self {
        let (bits, narrow, wide) = (Elementwise::new(), Elementwise::new(), Elementwise::new());
        let mut batch = Self { bits, narrow, wide, linear: Vec::new() };
        while let Some(claim) = claims.peek() {
            let Some((kind, n, terms)) = elements(claim) else {
                batch.linear.extend(claims.next());
                continue;
            };
            let room = match kind {
                Kind::Product => Load::MOST.products.saturating_sub(batch.narrow.len() + batch.wide.len()),
                Kind::And => Load::MOST.ands.saturating_sub(batch.bits.len()),
            };
            if room == 0 {
                break;
            }
            let end = n.min(*start + room.div_ceil(terms));
            let range = *start..end;
            match claim {
                Claim::And(o) => batch.bits.push(o, range),
                Claim::Mul8(o) => batch.narrow.push(o, range),
                Claim::Mul16(o) => batch.narrow.push(o, range),
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
        let Self { bits, narrow, wide, linear } = self;
        let light = Self { bits, narrow, wide: Elementwise::new(), linear: Vec::new() };
        [Self { bits: Elementwise::new(), narrow: Elementwise::new(), wide, linear }, light]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bits.is_empty() && self.narrow.is_empty() && self.wide.is_empty() && self.linear.is_empty()
    }

    /// What is in it, for the transcript.
    pub(super) fn describe(&self) -> Vec<u8> {
        let counts = [self.bits.len(), self.narrow.len(), self.wide.len(), self.linear.len()];
        counts.into_iter().flat_map(|n| (n as u64).to_le_bytes()).collect()
    }

    /// Joins the claims of each ring into one inner product.
    pub(super) fn join(self, kernel: Kernel, coin: &mut Coin) -> Joined<P> {
        let bits = InnerProduct::new(kernel, coin, self.bits);
        let narrow = InnerProduct::new(kernel, coin, self.narrow);
        let mut wide = InnerProduct::new(kernel, coin, self.wide);
        self.linear.iter().for_each(|claim| compress(&mut wide, kernel, coin, claim));
        Joined { bits, narrow, wide }
    }
}

/// The claims of a batch: one inner product for each ring.
pub(super) struct Joined<P: Parameters> {
    pub(super) bits: InnerProduct<P::Bits>,
    pub(super) narrow: InnerProduct<P::Narrow>,
    pub(super) wide: InnerProduct<P::Wide>,
}
