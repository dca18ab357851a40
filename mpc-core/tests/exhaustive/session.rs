//! Many instances of a protocol in one session: element i of every tensor belongs to case i, so that a run goes through as many
//! cases as it has elements.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use mpc_core::error::Result;
use mpc_core::kernel::Kernel;
use mpc_core::network::Network;
use mpc_core::prss::Prss;
use mpc_core::ring::{Boolean, Domain, Tensor, Word};
use mpc_core::security::Claim;
use mpc_core::session::Branch;
use mpc_core::sharing::Share;
use mpc_core::testing::tape::Tape;
use mpc_core::testing::{Hook, Message, Recorder, Tap, mesh, party, party_with, run_parties};
use mpc_core::{Party, Role};
use ndarray::IxDyn;

/// Cases come in multiples of this, so that their bits fill whole words.
pub(crate) const LANES: usize = 64;

/// N components of one input or result, case by case.
pub(crate) type Columns<const N: usize> = [Vec<u64>; N];

/// What a protocol returns to a party: two components of a value for each case.
pub(crate) struct Output {
    pub(crate) components: Columns<2>,
    pub(crate) value: Combination,
}

/// How components make up a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Combination {
    /// Their exclusive or.
    Boolean,
    /// Their sum modulo 2^bits.
    Modulo { bits: u32 },
}

impl Combination {
    pub(crate) fn of(self, [a, b, c]: [u64; 3]) -> u64 {
        match self {
            Combination::Boolean => a ^ b ^ c,
            Combination::Modulo { bits } => a.wrapping_add(b).wrapping_add(c) & (u64::MAX >> (64 - bits)),
        }
    }
}

impl Output {
    /// A number for each case.
    pub(crate) fn numbers<W: Word>(share: &Share<mpc_core::ring::Arithmetic, W>) -> Self {
        Self::words(share, Combination::Modulo { bits: W::BITS })
    }

    /// A word of bits for each case.
    pub(crate) fn bits(share: &Share<Boolean, u64>) -> Self {
        Self::words(share, Combination::Boolean)
    }

    /// A bit for each case, in one plane.
    pub(crate) fn plane(share: &Share<Boolean, u64>) -> Self {
        let bits = |t: &Tensor<u64>| t.iter().flat_map(|word| (0..64).map(move |j| word >> j & 1)).collect();
        Self { components: [bits(share.own()), bits(share.next())], value: Combination::Boolean }
    }

    fn words<D: Domain, W: Word>(share: &Share<D, W>, value: Combination) -> Self {
        let words = |t: &Tensor<W>| t.iter().map(|word| word.to_u64()).collect();
        Self { components: [words(share.own()), words(share.next())], value }
    }
}

/// A protocol in the hands of one party, on its components of the inputs.
pub(crate) type Program = dyn Fn(&mut Party, &[Columns<2>]) -> Result<Output> + Send + Sync;

/// Runs a protocol on these inputs. Keys are fixed; where there are `tapes`, by key, what is drawn comes from them. `hook` sees all that
/// one party sends and receives. Returns results and claims by role.
pub(crate) fn run(
    program: &Program,
    inputs: &[Columns<3>],
    tapes: Option<&[Tape; 3]>,
    (tapped, hook): (Role, Hook),
) -> [(Output, Vec<Claim>); 3] {
    let parties = mesh().map(|network| {
        let role = network.role();
        let hook: Hook = if role == tapped { hook.clone() } else { Arc::new(|_: Message<'_>| ()) };
        let (network, security) = (Tap::new(network, hook), Box::new(Recorder::default()));
        let mut party = match tapes {
            None => party(network, 1, security),
            Some(tapes) => {
                let [own, next] = [role, role.next()].map(|key| tapes[key.index()].clone());
                party_with(network, Prss::of_tapes(own, next), security)
            }
        };
        party.link().set_kernel(Kernel::Scalar);
        party
    });
    let results = run_parties(parties, |party| {
        let held = [party.role(), party.role().next()];
        let inputs: Vec<Columns<2>> = inputs.iter().map(|input| held.map(|role| input[role.index()].clone())).collect();
        let output = program(party, &inputs)?;
        Ok((output, party.take_claims()))
    });
    results.map(|result| result.expect("no message has another length"))
}

/// Where a message is: its branch, its receiver, and how many went there from the same sender before.
pub(crate) type Place = (Branch, Role, usize);

/// Numbers messages by branch, sender and receiver.
#[derive(Default)]
pub(crate) struct Counter(HashMap<(Branch, Role, Role), usize>);

impl Counter {
    pub(crate) fn place(&mut self, message: &Message<'_>) -> Place {
        let count = self.0.entry((message.branch, message.from, message.to)).or_default();
        *count += 1;
        (message.branch, message.to, *count - 1)
    }
}

/// What `sender` sends in an honest run, by place.
pub(crate) fn sent(program: &Program, inputs: &[Columns<3>], sender: Role) -> Vec<(Place, Vec<u8>)> {
    let seen = Arc::new(Mutex::new((Counter::default(), Vec::new())));
    let recording = seen.clone();
    let hook: Hook = Arc::new(move |message| {
        if message.from == sender {
            let (counter, sent) = &mut *recording.lock().expect("no panic while locked");
            sent.push((counter.place(&message), message.bytes.to_vec()));
        }
    });
    run(program, inputs, None, (sender, hook));
    let mut sent = std::mem::take(&mut seen.lock().expect("no panic while locked").1);
    sent.sort();
    sent
}

/// A tensor of this shape.
pub(crate) fn tensor<W: Word>(shape: &[usize], words: impl Iterator<Item = u64>) -> Tensor<W> {
    Tensor::from_shape_vec(IxDyn(shape), words.map(W::from_u64).collect()).expect("as many elements as the shape says")
}
