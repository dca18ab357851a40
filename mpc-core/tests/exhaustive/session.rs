//! Many instances of a protocol in one session: element i of every tensor belongs to case i, so that a run goes through
//! as many cases as it has elements.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};

use mpc_core::error::Result;
use mpc_core::kernel::Kernel;
use mpc_core::link::Link;
use mpc_core::link::open::Copies;
use mpc_core::network::Network;
use mpc_core::prss::Prss;
use mpc_core::ring::{Boolean, Domain, Tensor, Word};
use mpc_core::security::{Claim, Security};
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

/// Runs a protocol on these inputs. Keys are fixed; where there are `tapes`, by key, what is drawn comes from them.
/// Hooks see all that their party sends and receives. Values are opened in so many copies. Returns results and claims
/// by role.
pub(crate) fn run(
    program: &Program,
    inputs: &[Columns<3>],
    tapes: Option<&[Tape; 3]>,
    hooks: &[(Role, Hook)],
    copies: Copies,
) -> [(Output, Vec<Claim>); 3] {
    let parties = mesh().map(|network| {
        let role = network.role();
        let hook = hooks.iter().find(|(tapped, _)| *tapped == role).map(|(_, hook)| hook.clone());
        let network = Tap::new(network, hook.unwrap_or_else(|| Arc::new(|_: Message<'_>| ())));
        let security = Box::new(Opening { claims: Recorder::default(), copies });
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

/// Keeps claims, and opens in so many copies.
struct Opening {
    claims: Recorder,
    copies: Copies,
}

impl Security for Opening {
    fn wants_claims(&self) -> bool {
        true
    }

    fn copies(&self) -> Copies {
        self.copies
    }

    fn record(&mut self, claim: Claim) {
        self.claims.record(claim);
    }

    fn branch(&self) -> Box<dyn Security> {
        Box::new(Self { claims: Recorder::default(), copies: self.copies })
    }

    fn take(&mut self) -> Vec<Claim> {
        self.claims.take()
    }

    fn verify(&mut self, _: &mut Link) -> Result<()> {
        Ok(())
    }
}

/// Where a message is: its branch, its receiver, and how many went there from the same sender before.
pub(crate) type Place = (Branch, Role, usize);

/// Numbers messages by branch, sender and receiver.
#[derive(Default)]
pub(crate) struct Counter {
    counts: HashMap<(Branch, Role, Role), usize>,
    /// Whether the last message of a branch went to the next party.
    opening: HashMap<(Branch, Role), bool>,
}

impl Counter {
    pub(crate) fn place(&mut self, message: &Message<'_>) -> Place {
        let count = self.counts.entry((message.branch, message.from, message.to)).or_default();
        *count += 1;
        (message.branch, message.to, *count - 1)
    }

    /// Whether a message is a copy of an opened component: it goes to the next party, or comes right after one that
    /// does.
    pub(crate) fn is_opening(&mut self, message: &Message<'_>) -> bool {
        let to_next = message.to == message.from.next();
        let last = self.opening.insert((message.branch, message.from), to_next);
        to_next || last == Some(true)
    }
}

/// Components that a party opens to the previous one, by branch and position among the openings.
#[derive(Default)]
pub(crate) struct HonestCopies {
    opened: Mutex<HashMap<(Branch, usize), Vec<u8>>>,
    more: Condvar,
}

impl HonestCopies {
    /// Looks on as `opener` opens.
    pub(crate) fn recorder(self: Arc<Self>, opener: Role) -> Hook {
        let counter = Mutex::new((Counter::default(), HashMap::new()));
        Arc::new(move |message| {
            if message.from == opener {
                let (counter, positions) = &mut *counter.lock().expect("no panic while locked");
                if counter.is_opening(&message) && message.to == opener.prev() {
                    let position: &mut usize = positions.entry(message.branch).or_default();
                    let mut opened = self.opened.lock().expect("no panic while locked");
                    opened.insert((message.branch, *position), message.bytes.to_vec());
                    *position += 1;
                    self.more.notify_all();
                }
            }
        })
    }

    /// Waits for the copy of an opening.
    pub(crate) fn wait(&self, opening: (Branch, usize)) -> Vec<u8> {
        let opened = self.opened.lock().expect("no panic while locked");
        let mut opened = self.more.wait_while(opened, |opened| !opened.contains_key(&opening)).expect("no panic");
        opened.remove(&opening).expect("waited for")
    }
}

/// What `sender` reshares in an honest run, by place.
pub(crate) fn reshared(program: &Program, inputs: &[Columns<3>], sender: Role) -> Vec<(Place, Vec<u8>)> {
    let seen = Arc::new(Mutex::new((Counter::default(), Vec::new())));
    let recording = seen.clone();
    let hook: Hook = Arc::new(move |message| {
        if message.from == sender {
            let (counter, sent) = &mut *recording.lock().expect("no panic while locked");
            let place = counter.place(&message);
            if !counter.is_opening(&message) {
                sent.push((place, message.bytes.to_vec()));
            }
        }
    });
    run(program, inputs, None, &[(sender, hook)], Copies::Both);
    let mut sent = std::mem::take(&mut seen.lock().expect("no panic while locked").1);
    sent.sort();
    sent
}

/// A tensor of this shape.
pub(crate) fn tensor<W: Word>(shape: &[usize], words: impl Iterator<Item = u64>) -> Tensor<W> {
    Tensor::from_shape_vec(IxDyn(shape), words.map(W::from_u64).collect()).expect("as many elements as the shape says")
}
