//! The owner of a secret: splits it into shares, and reconstructs the answer.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::{Zeroize, ZeroizeOnDrop, optimization_barrier};

use super::{Share, slice, tensor};
use crate::error::{Error, Result, Step};
use crate::random;
use crate::ring::{Domain, Tensor, Word};
use crate::role::Role;

/// 32 bytes that expand to a component. The bytes stay in one place in memory, so that moving a seed leaves no copy.
#[derive(Clone)]
pub struct Seed(pub Box<[u8; 32]>);

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Seed {}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl Seed {
    /// A fresh seed from the operating system.
    ///
    /// # Errors
    /// [`Error::System`] where the operating system has no random numbers.
    pub fn fresh() -> Result<Self> {
        let mut seed = Self(Box::default());
        random::fill(&mut *seed.0)?;
        Ok(seed)
    }
}

/// A component as it travels: in full, or as the seed that expands to it.
#[derive(Debug, Clone)]
pub enum Component<W> {
    /// The seed to [`expand`].
    Seed(Seed),
    /// The component in full.
    Explicit(Tensor<W>),
}

impl<W: Word> Component<W> {
    /// The component itself.
    pub fn expand(&self, shape: &[usize]) -> Tensor<W> {
        match self {
            Component::Seed(seed) => expand(seed, shape),
            Component::Explicit(tensor) => tensor.clone(),
        }
    }
}

/// The two components that one party receives.
#[derive(Debug, Clone)]
pub struct Dealt<W> {
    /// x_i.
    pub own: Component<W>,
    /// x_{i+1}.
    pub next: Component<W>,
}

/// Splits `secret` for the three parties: components 0 and 1 are seeds, component 2 travels in full, so that the whole
/// costs two tensors of traffic (P1 and P2 one each).
pub fn share<D: Domain, W: Word>(secret: &Tensor<W>) -> Result<[Dealt<W>; 3]> {
    Ok(share_from::<D, W>([Seed::fresh()?, Seed::fresh()?], secret))
}

/// As [`share`], from given seeds: equal seeds make equal shares of one secret. Never use seeds for a second secret:
/// every party would see the difference of the two.
pub fn share_from<D: Domain, W: Word>([s0, s1]: [Seed; 2], secret: &Tensor<W>) -> [Dealt<W>; 3] {
    let (x0, x1) = (expand::<W>(&s0, secret.shape()), expand::<W>(&s1, secret.shape()));
    let x2 = secret.iter().zip(slice(&x0)).zip(slice(&x1)).map(|((&x, &a), &b)| D::sub(D::sub(x, a), b)).collect();
    let x2 = tensor(secret.shape(), x2);
    let components = [Component::Seed(s0), Component::Seed(s1), Component::Explicit(x2)];
    Role::ALL.map(|role| Dealt { own: components[role.index()].clone(), next: components[role.next().index()].clone() })
}

/// The pseudorandom tensor of a seed: ChaCha12 key stream, little endian, row-major.
pub fn expand<W: Word>(seed: &Seed, shape: &[usize]) -> Tensor<W> {
    let mut data = vec![W::ZERO; shape.iter().product()];
    let mut stream = ChaCha12Rng::from_seed(*seed.0);
    stream.fill_bytes(bytemuck::cast_slice_mut(&mut data));
    // The stream's state holds the seed.
    stream = ChaCha12Rng::from_seed([0; 32]);
    optimization_barrier(&stream);
    tensor(shape, data)
}

/// Adds up the components of all three parties after comparing the two copies of each.
///
/// # Errors
/// [`Error::Cheating`] where copies differ, [`Error::Invalid`] where shapes do. Nobody can tell whose copy is wrong.
pub fn reconstruct<D: Domain, W: Word>(parts: &[Share<D, W>; 3]) -> Result<Tensor<W>> {
    for role in Role::ALL {
        let (mine, theirs) = (&parts[role.index()], &parts[role.next().index()]);
        if mine.shape() != theirs.shape() {
            return Err(Error::invalid("output", "the parties returned tensors of different shapes"));
        }
        if mine.next() != theirs.own() {
            return Err(Error::Cheating { step: Step::Answer });
        }
    }
    let [x0, x1, x2] = parts.each_ref().map(|part| slice(part.own()));
    let sum = x0.iter().zip(x1).zip(x2).map(|((&a, &b), &c)| D::add(D::add(a, b), c)).collect();
    Ok(tensor(parts[0].shape(), sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Arithmetic, Boolean};

    fn round_trip<D: Domain>() {
        let secret = tensor(&[2, 3], vec![0u64, 1, u64::MAX, 1 << 63, 7, 12345]);
        let parts = share::<D, u64>(&secret)
            .unwrap()
            .map(|dealt| Share::<D, u64>::new(dealt.own.expand(secret.shape()), dealt.next.expand(secret.shape())));
        assert_eq!(reconstruct(&parts).unwrap(), secret);

        let mut tampered = parts.clone();
        tampered[1] = tampered[1].add_constant(Role::P0, 1);
        assert_eq!(reconstruct(&tampered), Err(Error::Cheating { step: Step::Answer }));
    }

    #[test]
    fn shares_and_reconstructs_in_both_domains() {
        round_trip::<Arithmetic>();
        round_trip::<Boolean>();
    }
}
