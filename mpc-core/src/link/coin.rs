//! Public coins that no party can foresee or steer.
//!
//! Pj derives the component c_j = F(k_j) of a random sharing; P_{j+1} lacks it.
//!
//! 1. Pj sends c_j to P_{j+1}, **against** the direction of [`reshare`](super::reshare), after it has received every
//!    message of the batch that the coin is for. The coin is a hash of c_0, c_1 and c_2.
//!
//! A cheating Pc learns the coin from P_{c-1}, to which its reshares go: by then they have arrived, so it chose its
//! errors without knowing the coin. Were the component released by P_{c+1} instead, Pc could wait for it before it
//! sends its own messages. Pc can give P_{c+1} a wrong component, so the two honest parties may hold different coins.
//! Every coin enters the transcript, and [`compare_transcripts`](super::Link::compare_transcripts) must come before
//! anything is opened that depends on a coin. One one-way message of 16 bytes. Source: `docs/protocols.md`, "Coins".

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

use super::Link;
use super::round::words;
use crate::error::Result;

/// A public random stream that all three parties hold alike.
pub type Coin = ChaCha12Rng;

/// Tosses a coin. The caller has received every message that must be fixed before.
pub fn toss(link: &mut Link) -> Result<Coin> {
    let role = link.role();
    let mut op = link.prss().next_op();
    let (own, next) = (op.own::<u64>(2), op.next::<u64>(2));
    let third = link.round(|round| {
        round.send(role.next(), &own)?;
        Ok(words::<u64>(role.prev(), 2))
    })?;
    let mut components = [[0; 2]; 3];
    for (holder, component) in [(role, own), (role.next(), next), (role.prev(), third)] {
        components[holder.index()].copy_from_slice(&component);
    }
    let bytes = bytemuck::bytes_of(&components);
    link.note(b"coin", bytes);
    let seed = Sha256::new().chain_update(b"mpc coin v1").chain_update(bytes).finalize();
    Ok(ChaCha12Rng::from_seed(seed.into()))
}
